import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { holderOfGuard, pidOf, treeOf } from "../support/processes.ts";
import { rigSpec, startOwnRig, untilPhase } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { createRespawner } from "./respawn.ts";
import type { Respawner } from "./respawn.ts";

// How long healing takes: npm run faults -- --figures. Nothing is asserted of the times, they are printed.

const job = "figures";
const rounds = 2;
/** Long enough to tell what we add to it. */
const bootMs = 10_000;

let rig: OwnRig;
let spec: JobSpec;
let respawner: Respawner;

beforeAll(async () => {
  rig = await startOwnRig();
  respawner = createRespawner(rig);
  const envs = { PDJOB_SIM_BOOT_MS: String(bootMs) };
  spec = await rigSpec(rig, job, {
    timeoutS: 120,
    prefill: { envs },
    decode: { envs },
    // So short a window that no round waits because of the one before.
    restart: { restartsMax: 50, windowS: 1 },
    health: { intervalS: 1, timeoutS: 1, failures: 3 },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, job, "READY");
});
afterAll(async () => respawner.stop());

interface Figures {
  readonly noticedMs: number;
  readonly healedMs: number;
  readonly bootedMs: number;
}

const replicaOf = async (name: string) => {
  const { replicas } = await rig.agent.call("list", { job });
  return replicas.find((one) => `${one.role}-${one.index}` === name);
};

/** Strikes decode-0 and follows what the job does about it. */
async function heal(strike: (engine: number) => Promise<void> | void): Promise<Figures> {
  const before = await replicaOf("decode-0");
  if (before?.pid === undefined) throw new Error("decode-0 does not run");
  const struckMs = Date.now();
  await strike(before.pid);
  const replacement = await eventually("a newer generation runs", async () => {
    const now = await replicaOf("decode-0");
    return now && now.generation > before.generation && now.startedAtMs ? now : undefined;
  });
  const healthyMs = await eventually(
    "it is healthy",
    async () => ((await replicaOf("decode-0"))?.state === "healthy" ? Date.now() : undefined),
    2 * bootMs,
  );
  await untilPhase(rig.client, job, "READY");
  const healedMs = Date.now();
  const { events } = await rig.client.status(job);
  const noticed = events.find(({ atMs, text }) => atMs >= struckMs && text.includes("decode-0"));
  return {
    noticedMs: (noticed?.atMs ?? Number.NaN) - struckMs,
    healedMs: healedMs - struckMs,
    bootedMs: healthyMs - (replacement.startedAtMs ?? Number.NaN),
  };
}

async function report(what: string, strike: (engine: number) => Promise<void> | void) {
  for (let round = 1; round <= rounds; round++) {
    const { noticedMs, healedMs, bootedMs } = await heal(strike);
    expect(healedMs).toBeGreaterThan(0);
    process.stdout.write(
      `${what}: noticed after ${seconds(noticedMs)}, whole again after ${seconds(healedMs)} = ${(healedMs / bootedMs).toFixed(2)} × the boot of ${seconds(bootedMs)}\n`,
    );
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;

test("an engine's process is killed", () =>
  report("engine killed", (engine) => void process.kill(engine, "SIGKILL")));

test("an engine hangs", () =>
  report("engine hangs", (engine) => void process.kill(engine, "SIGSTOP")));

test("an actor is killed", () =>
  report(
    "actor killed",
    (engine) => void process.kill(pidOf({ pid: holderOfGuard(engine) }), "SIGKILL"),
  ));

test("a node is lost, and another has room", async () => {
  await report("node lost", async () => {
    const { placementGroups } = await rig.agent.call("list", { job });
    const ip = placementGroups.find(({ name }) => name.includes("decode-0"))?.nodeIps[0];
    const index = rig.stack.nodes.findIndex((node) => node.ip === ip);
    await respawner.node(index);
  });
});

test("the worker is killed, and resumes", async () => {
  for (let round = 1; round <= rounds; round++) {
    const worker = rig.stack.workerPid() ?? 0;
    const killedMs = Date.now();
    process.kill(worker, "SIGKILL");
    await eventually("the job is looked after again", async () => {
      const now = rig.stack.workerPid();
      return now !== undefined && now !== worker && treeOf(now).length > 1;
    });
    process.stdout.write(
      `worker killed: its agent runs again after ${seconds(Date.now() - killedMs)}\n`,
    );
  }
});
