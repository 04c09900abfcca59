import { readFileSync } from "node:fs";
import { Client, Connection } from "@temporalio/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../../src/dev/ports.ts";
import { workflowIdOf } from "../../../src/domain/names.ts";
import { expectedText } from "../../../src/sim/text.ts";
import { startLoad } from "../../faults/load.ts";
import { createRespawner } from "../../faults/respawn.ts";
import type { Respawner } from "../../faults/respawn.ts";
import { runSeed } from "../../faults/run.ts";
import { oddities } from "../../faults/watch.ts";
import { eventually } from "../../support/eventually.ts";
import { holderOfGuard, pidOf, processesOf } from "../../support/processes.ts";
import { complete, leftOf, rigSpec, startOwnRig, untilPhase } from "../../support/rig.ts";
import type { OwnRig } from "../../support/rig.ts";
import type { JobSpec } from "../../../src/domain/spec.ts";

/** PDJOB_OUTAGE_S=600 is the promise; the fast suite holds a shorter one, past every heartbeat's timeout. */
const outageMs = Number(process.env["PDJOB_OUTAGE_S"] ?? 10) * 1_000;
const timeout = outageMs + 120_000;
const counts = { prefill: 2, decode: 2 };

let rig: OwnRig;
let spec: JobSpec;
let respawner: Respawner;

beforeAll(async () => {
  rig = await startOwnRig({ workerBackoffMaxMs: 500, keepTables: true });
  spec = await rigSpec(rig, "faults", { restart: { restartsMax: 10, windowS: 600 } });
  await rig.client.start(spec);
  await untilPhase(rig.client, "faults", "READY");
  respawner = createRespawner(rig);
});
afterAll(async () => respawner.stop());

const enginePid = async (name: string): Promise<number> => {
  const { replicas } = await rig.agent.call("list", { job: "faults" });
  return known(replicas.find((one) => `${one.role}-${one.index}` === name)?.pid);
};

/** Pid 0 would be the tests' own process group. */
function known(pid: number | undefined): number {
  if (pid === undefined) throw new Error("there is no such process");
  return pid;
}

/** The replica is back under a newer generation, and no process of the older one is left. */
async function healed(name: string, after: number): Promise<void> {
  await eventually(`${name} is READY after g${after}`, async () => {
    const { phase, replicas } = await rig.client.status("faults");
    return phase === "READY" && replicas.some((one) => one.name === name && one.generation > after);
  });
  const leftover = processesOf("faults").filter((pid) =>
    readFileSync(`/proc/${pid}/environ`, "utf8").includes(
      `PDJOB_INCARNATION=faults-${name}-g${after}\0`,
    ),
  );
  expect(leftover).toEqual([]);
  const { text } = await complete(spec, { prompt: name, max_tokens: 4 });
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", name, 4));
}

const generationOf = async (name: string): Promise<number> =>
  (await rig.client.status("faults")).replicas.find((one) => one.name === name)?.generation ?? 0;

test("a SIGKILLed engine is replaced, its orphaned engine core included", async () => {
  const generation = await generationOf("decode-1");
  process.kill(await enginePid("decode-1"), "SIGKILL");
  await healed("decode-1", generation);
});

test("a replica whose actor is SIGKILLed is replaced", async () => {
  const generation = await generationOf("prefill-1");
  const actor = holderOfGuard(await enginePid("prefill-1"));
  process.kill(pidOf({ pid: actor }), "SIGKILL");
  await healed("prefill-1", generation);
});

test("a SIGKILLed proxy is replaced and gets its members again", async () => {
  const { proxies } = await rig.agent.call("list", { job: "faults" });
  process.kill(known(proxies[0]?.pid), "SIGKILL");
  await eventually("another process of it runs", async () =>
    (await rig.agent.call("list", { job: "faults" })).proxies.some(
      ({ pid, state }) => pid !== proxies[0]?.pid && state === "healthy",
    ),
  );
  await untilPhase(rig.client, "faults", "READY");
  expect((await complete(spec, { prompt: "x", max_tokens: 1 })).status).toBe(200);
});

/** Every engine and proxy with its generation and pid: equal before and after when nothing was touched. */
async function running(): Promise<readonly string[]> {
  const { replicas, proxies } = await rig.agent.call("list", { job: "faults" });
  return [...replicas, ...proxies].map(({ name, pid }) => `${name} ${pid}`).toSorted();
}

/** Load during `work`: none of its requests may fail. */
async function underLoad(work: () => Promise<void>): Promise<number> {
  const load = startLoad(spec);
  const failed = await work().then(
    () => undefined,
    (error: unknown) => error,
  );
  const outcomes = await load.stop();
  if (failed !== undefined) throw failed;
  expect(outcomes.filter(({ kind }) => kind !== "ok")).toEqual([]);
  return outcomes.length;
}

/** The job's watch beats since `sinceMs`: from then on its leases are renewed and whatever happens to it is noticed. */
async function watchedAgain(sinceMs: number): Promise<number> {
  const connection = await Connection.connect({ address: rig.stack.temporalAddress });
  const handle = new Client({ connection }).workflow.getHandle(workflowIdOf("faults"));
  const beatMs = await eventually("the job is watched again", async () => {
    const { pendingActivities } = (await handle.describe()).raw;
    const watch = pendingActivities?.find(({ activityType }) => activityType?.name === "watchJob");
    const { seconds, nanos } = watch?.lastHeartbeatTime ?? {};
    const atMs = Number(seconds ?? 0) * 1_000 + (nanos ?? 0) / 1e6;
    return atMs > sinceMs ? atMs : undefined;
  });
  await connection.close();
  return beatMs;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

test(
  "while the worker and Temporal are down no request fails, and afterwards what runs is adopted as it is",
  { timeout },
  async () => {
    const before = await running();
    let adoptedMs = 0;
    const requests = await underLoad(async () => {
      rig.stack.killWorker();
      await respawner.temporal({ downMs: outageMs });
      const sinceMs = Date.now();
      adoptedMs = (await watchedAgain(sinceMs)) - sinceMs;
      expect((await untilPhase(rig.client, "faults", "READY")).ready).toEqual(counts);
    });
    expect(await running()).toEqual(before);
    process.stdout.write(
      `${requests} requests and no failure in ${seconds(outageMs)} without worker and Temporal; watched again ${seconds(adoptedMs)} after Temporal came back\n`,
    );
  },
);

test("when Temporal's database is lost, a start of the same job adopts what runs", async () => {
  const before = await running();
  await underLoad(async () => {
    await respawner.temporal({ databaseLost: true });
    await eventually("the new server takes the job", () =>
      rig.client.start(spec).then(
        () => true,
        () => false,
      ),
    );
    await untilPhase(rig.client, "faults", "READY");
  });
  expect(await running()).toEqual(before);
});

test("when Ray's head dies and comes back with its tables, engines go on as they are and the proxy is replaced", async () => {
  const before = await running();
  await respawner.head();
  await settles();
  const isEngine = (line: string): boolean => !line.includes("-proxy-");
  expect((await running()).filter(isEngine)).toEqual(before.filter(isEngine));
  // An agent that had joined by the head's raylet, and stayed, could list and run no task any more.
  expect(await rig.agent.call("checkHead", { port: await freePort(45_000) })).toEqual({
    ip: rig.stack.head.ip,
  });
});

test("a node that is lost for good costs no replica: the others take its place on what is left", async () => {
  await respawner.loseNode(0);
  await settles();
  const { placementGroups } = await rig.agent.call("list", { job: "faults" });
  expect(placementGroups.flatMap(({ nodeIps }) => nodeIps)).toEqual(
    Array.from({ length: 4 }, () => rig.stack.nodes[1]?.ip),
  );
});

test("when Ray comes back without its tables, the job deploys itself anew", async () => {
  const before = await generations();
  await respawner.ray();
  await settles();
  const after = await generations();
  expect(after.size).toBe(before.size);
  for (const [name, generation] of before) expect(after.get(name)).toBeGreaterThan(generation);
});

test("then it stops, and nothing of any of it is left", async () => {
  await rig.client.stop("faults");
  await rig.client.result("faults");
  expect(await leftOf(rig, spec)).toEqual([]);
});

/** Eleven kinds of faults, an apply and its undo, a restart, a scale-up, and a stop and start. Others, and longer ones: npm run faults. */
test(
  "whatever a long schedule of faults does to a job under load, every promise holds",
  { timeout: 400_000 },
  async () => {
    const seed = { seed: 1_694, steps: 16 };
    const { story, violations, requests } = await runSeed(rig, respawner, seed);
    expect({ story, violations }).toEqual({ story, violations: [] });
    expect(requests.ok).toBeGreaterThan(0);
  },
);

/** READY with the spec's counts, one engine for each replica, and nothing else. */
async function settles(): Promise<void> {
  const startedMs = Date.now();
  await eventually(
    "the job is whole",
    async () => {
      const { phase, reason } = await rig.client.status("faults");
      const odd = await oddities(rig, spec, counts);
      if (phase === "READY" && odd.length === 0) return true;
      throw new Error(`${phase}: ${reason}; ${odd.join(", ")}`);
    },
    90_000,
  );
  process.stdout.write(`whole again after ${seconds(Date.now() - startedMs)}\n`);
}

async function generations(): Promise<ReadonlyMap<string, number>> {
  const { replicas } = await rig.client.status("faults");
  return new Map(replicas.map(({ name, generation }) => [name, generation]));
}
