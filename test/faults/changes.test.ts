import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { replicaName } from "../../src/domain/names.ts";
import { rigSpec, startOwnRig, untilPhase } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { startStreams } from "./streams.ts";

// Fifty changes of the membership under steady streams, the worker killed in the middle of some: npm run faults -- --changes.
// Nothing is asserted of the times, they are printed.

const job = "changes";
const changes = 50;
const lanes = 8;
const bootMs = 500;
/** Every so often the worker dies while a replica is being drained. */
const killEvery = 10;
const lookEveryMs = 20;
const changeMaxMs = 60_000;

let rig: OwnRig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startOwnRig();
  const envs = { PDJOB_SIM_BOOT_MS: String(bootMs), PDJOB_SIM_TOKEN_MS: "10" };
  spec = await rigSpec(rig, job, { prefill: { envs }, decode: { envs } });
  await rig.client.start(spec);
  await untilPhase(rig.client, job, "READY");
});
afterAll(async () => rig.stop());

let kills = 0;
const times = { comesMs: [] as number[], goesMs: [] as number[] };

const isThere = async (name: string) => {
  const { replicas } = await rig.client.status(job);
  return replicas.find((one) => one.name === name);
};

/** From the signal until the replica serves, without its boot. */
async function grow(role: Role): Promise<void> {
  const sentMs = Date.now();
  await rig.client.scale(job, { role, replicas: 2 });
  const name = replicaName({ role, index: 1 });
  for (;;) {
    const { phase, ready } = await rig.client.status(job);
    if (phase === "READY" && ready[role] === 2) break;
    if (Date.now() - sentMs > changeMaxMs) throw new Error(`${name} did not come`);
    await sleep(lookEveryMs);
  }
  times.comesMs.push(Date.now() - sentMs - bootMs);
}

/** From the end of its last request until its GPUs are free. */
async function shrink(role: Role, kill: boolean): Promise<void> {
  const name = replicaName({ role, index: 1 });
  const sentMs = Date.now();
  let idleMs = sentMs;
  let killed = !kill;
  await rig.client.scale(job, { role, replicas: 1 });
  for (;;) {
    const replica = await isThere(name);
    if (!replica) break;
    if (replica.phase === "DRAINING" && !killed) {
      const pid = rig.stack.workerPid();
      if (pid === undefined) continue;
      process.kill(pid, "SIGKILL");
      killed = true;
      kills += 1;
    }
    const { proxies } = await rig.agent.call("list", { job });
    const busy = proxies.some(({ inFlight = {} }) =>
      Object.entries(inFlight).some(([one, count]) => one.includes(`-${name}-`) && count > 0),
    );
    if (busy) idleMs = Date.now();
    if (Date.now() - sentMs > changeMaxMs) throw new Error(`${name} did not go`);
    await sleep(lookEveryMs);
  }
  if (!kill) times.goesMs.push(Date.now() - idleMs);
  await untilPhase(rig.client, job, "READY");
}

test("fifty times a replica comes or goes under steady streams: none fails, none is cut short", async () => {
  const streams = startStreams(spec, lanes);
  for (let change = 0; change < changes; change++) {
    const role = change % 4 < 2 ? "prefill" : "decode";
    if (change % 2 === 0) await shrink(role, change % killEvery === 0);
    else await grow(role);
  }
  const seen = await streams.stop();
  process.stdout.write(
    `${changes} changes, ${seen.streams} streams: ${seen.failed.length} failed, ${seen.truncated.length} truncated; ` +
      `longest stall ${seen.longestStallMs.toFixed(0)} ms; serving after its boot ${quantiles(times.comesMs)}; ` +
      `GPUs free after its last request ${quantiles(times.goesMs)}\n`,
  );
  expect([seen.failed, seen.truncated]).toEqual([[], []]);
  expect(seen.streams).toBeGreaterThan(lanes);
  expect(kills).toBe(changes / killEvery);
});

function quantiles(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`;
}
