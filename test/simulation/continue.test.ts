import { expect, test } from "vitest";
import { makeSpec } from "../support/spec.ts";
import { crashProcess, hangProcess } from "./faults.ts";
import { settle, unsettled } from "./settle.ts";
import { liveEngines, replicaOf } from "./truth.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

const historyEventsMax = 2_000;
/** A signal that changes nothing, and the workflow task that takes it. */
const eventsPerSignal = 4;
const signalEveryMs = 50;
/** For how long a hung engine is stopped: longer than it takes to make the history long. */
const graceS = 180;
const withinMs = 60_000;
const noticedMs = 1_000;

function engine({ cluster }: World, replica: string) {
  const found = liveEngines(cluster, "demo").find(({ name }) => replicaOf(name) === replica);
  if (!found) throw new Error(`${replica} has no engine`);
  return found;
}

const count = ({ trace }: World, text: string): number =>
  trace.filter((line) => line.endsWith(text)).length;

/** A job of which one engine is being stopped, and whose history is so many times as long as it should become. */
async function overlong(times: number) {
  const world = createWorld({ seed: 5, historyEventsMax });
  const job = world.start(makeSpec({ stopGraceS: graceS }))!;
  expect(await world.run(withinMs, () => unsettled(world, job).length === 0)).toBe(true);
  hangProcess(world, engine(world, "decode-1"), graceS * 2_000);
  expect(await world.run(withinMs, () => count(world, "opened stopReplica") > 0)).toBe(true);
  for (let sent = 0; sent < (times * historyEventsMax) / eventsPerSignal; sent++) {
    job.scale("prefill", 2);
    await world.run(signalEveryMs);
  }
  expect(job.execution.runs).toBe(1);
  return { world, job };
}

test("a job whose history is long enough is watched, and healed, until its changes have ended", async () => {
  const { world, job } = await overlong(1);
  const before = count(world, "opened reservePlacementGroup");
  crashProcess(world, engine(world, "prefill-0"));
  const isHealing = () => count(world, "opened reservePlacementGroup") > before;
  expect(await world.run(20_000, isHealing)).toBe(true);
  expect(count(world, "closed stopReplica")).toBe(1);
  expect(job.execution.runs).toBe(1);
  await settle(world);
  expect(job.execution.runs).toBe(2);
  expect(world.violations).toEqual([]);
});

test("a job whose history is much too long begins nothing new, is watched, and goes on once its changes have ended", async () => {
  const { world, job } = await overlong(1.5);
  const before = world.trace.length;
  crashProcess(world, engine(world, "prefill-0"));
  const isSeen = () =>
    job.status()?.replicas.some(({ name, phase }) => name === "prefill-0" && phase !== "READY");
  expect(await world.run(noticedMs, () => isSeen() === true)).toBe(true);
  await world.run(20_000);
  expect(world.trace.slice(before).filter((line) => line.includes(" opened "))).toEqual([]);
  await settle(world);
  expect(job.execution.runs).toBe(2);
  expect(world.violations).toEqual([]);
});
