import { expect, test } from "vitest";
import { makeSpec } from "../support/spec.ts";
import { blockRay, crashProcess } from "./faults.ts";
import { firstKind } from "./schedule.ts";
import { settle, settleWithinMs, unsettled } from "./settle.ts";
import { leftovers, liveEngines, replicaOf } from "./truth.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

const timeoutS = 60;
/** Longer than a first deployment may take, and than a cluster is waited for that does not answer. */
const awayMs = 600_000;
/** From when its groups are reserved until it is taken down; the short time between a plan and the next is hit, too. */
const moments = { fromMs: 2_000, untilMs: 6_000, everyMs: 125 } as const;
const takenDownWithinMs = 60_000;
/** A look at a cluster that does not answer fails within this time, and is tried again for longer. */
const looksInVainMs = 5_000;

/** The only worker dies, and another one comes much later. */
async function leave(world: World): Promise<void> {
  world.disturb(awayMs);
  for (const { worker, agent } of world.hosts) {
    worker.kill();
    agent.kill();
  }
  await world.run(awayMs);
  world.addHost();
}

/** A start of which one engine fails to boot, whose only worker dies at that moment and comes back much later. */
async function away(atMs: number, before: (world: World) => Promise<unknown> | void) {
  const world = createWorld({ seed: 3 });
  world.boots.set("demo/decode", [{ takesMs: 1_500, fails: true }]);
  const job = world.start(
    makeSpec({ timeoutS, leaseS: 0, prefill: { ...firstKind }, decode: { ...firstKind } }),
  )!;
  const hasEnded = () => job.execution.status !== "running";
  await world.run(atMs, hasEnded);
  const wasInTime = !hasEnded();
  await before(world);
  await leave(world);
  await world.run(takenDownWithinMs, hasEnded);
  expect(job.execution.ending, `${atMs} ms`).toMatchObject({ kind: "failed" });
  expect(leftovers(world.cluster, "demo"), `${atMs} ms`).toEqual([]);
  return wasInTime;
}

test.each([
  ["whenever its only worker dies, and however long it is away", () => undefined],
  [
    "also when the last that was heard before is that the cluster does not answer",
    (world: World) => {
      blockRay(world, awayMs / 2);
      return world.run(looksInVainMs);
    },
  ],
])("a start that fails leaves nothing, %s", async (_, before) => {
  const { fromMs, untilMs, everyMs } = moments;
  let times = 0;
  for (let atMs = fromMs; atMs < untilMs && (await away(atMs, before)); atMs += everyMs) times += 1;
  expect(times).toBeGreaterThan(20);
});

test("an engine that was just started when the only worker died, and boots meanwhile, serves once there is one again", async () => {
  const world = createWorld({ seed: 3 });
  const job = world.start(makeSpec({ leaseS: 0 }))!;
  const engineNow = () =>
    liveEngines(world.cluster, "demo").find(({ name }) => replicaOf(name) === "decode-0");
  expect(await world.run(settleWithinMs, () => unsettled(world, job).length === 0)).toBe(true);
  crashProcess(world, engineNow()!);
  // Its start was asked for, and nobody has heard of what came of it.
  expect(await world.run(settleWithinMs, () => engineNow() !== undefined)).toBe(true);
  expect(world.trace.at(-1)).toContain("engineStarted demo-decode-0-g2");
  await leave(world);
  await settle(world);
  expect(world.violations).toEqual([]);
  expect(engineNow()?.name).toBe("demo-decode-0-g2");
});
