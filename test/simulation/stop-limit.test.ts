import { expect, test } from "vitest";
import { stopLimitS } from "../../src/plan/wait-limit.ts";
import { makeSpec } from "../support/spec.ts";
import { hangProcess, loseNode } from "./faults.ts";
import type { Job } from "./job.ts";
import { firstKind } from "./schedule.ts";
import { settleWithinMs, unsettled } from "./settle.ts";
import { leftovers, liveEngines, liveProxies } from "./truth.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

const [drainS, graceS] = [600, 30];
/** Of planning, of looking at what ended, and of an answer on its way. */
const slackS = 10;
/** An actor that does not answer is given so long beyond the grace, and then killed (agent/pdjob_agent/removal.py). */
const silentActorS = 15;
const forever = 10_000_000;

/** A job that serves, with a stream through it that never ends; `when` it is told to stop, something more is wrong. */
async function stopped(when: (world: World, job: Job) => void) {
  const world = createWorld({ seed: 5 });
  const spec = makeSpec({
    drainS: { prefill: 60, decode: drainS },
    stopGraceS: graceS,
    leaseS: 0,
    prefill: { replicas: 2, ...firstKind },
    decode: { replicas: 2, ...firstKind },
  });
  const job = world.start(spec)!;
  await world.run(settleWithinMs, () => unsettled(world, job).length === 0);
  for (const { traffic } of liveProxies(world.cluster, spec.name))
    for (let count = 0; count < 4; count++) traffic.send({ prefillMs: 200, decodeMs: forever });
  await world.run(2_000);
  const beganMs = world.clock.nowMs();
  job.stop();
  when(world, job);
  await world.run(2 * stopLimitS(spec) * 1_000, () => job.execution.status !== "running");
  const tookS = (world.clock.nowMs() - beganMs) / 1_000;
  expect(job.execution.status, world.trace.slice(-20).join("\n")).toBe("completed");
  return { tookS, limitS: stopLimitS(spec), left: leftovers(world.cluster, spec.name) };
}

const hangAll = (world: World, { spec }: Job): void =>
  liveEngines(world.cluster, spec.name).forEach((one) => hangProcess(world, one, forever));

test("a stop waits for streams that never end until the drain is over, and no longer", async () => {
  const { tookS, left } = await stopped(() => undefined);
  expect(tookS).toBeGreaterThanOrEqual(drainS);
  expect(tookS).toBeLessThan(drainS + graceS + slackS);
  expect(left).toEqual([]);
});

test("engines that ignore everything cost their grace beyond it", async () => {
  const { tookS, left } = await stopped(hangAll);
  expect(tookS).toBeGreaterThanOrEqual(drainS + graceS);
  expect(tookS).toBeLessThan(drainS + graceS + slackS);
  expect(left).toEqual([]);
});

test("a proxy that hangs as well costs its own", async () => {
  const { tookS, limitS, left } = await stopped((world, job) => {
    hangAll(world, job);
    world.clock.after((drainS - 5) * 1_000, () =>
      liveProxies(world.cluster, job.spec.name).forEach((one) => hangProcess(world, one, forever)),
    );
  });
  expect(tookS).toBeLessThan(drainS + 2 * graceS + slackS);
  expect(tookS).toBeLessThan(limitS);
  expect(left).toEqual([]);
});

test("and a node that says nothing any more what an actor is given to answer", async () => {
  const { tookS, limitS } = await stopped((world, job) => {
    hangAll(world, job);
    world.clock.after((drainS - 1) * 1_000, () =>
      loseNode(world, world.cluster.ray.nodes[1]!, "silent", forever),
    );
  });
  expect(tookS).toBeLessThan(drainS + 2 * (graceS + silentActorS) + slackS);
  expect(tookS).toBeLessThan(limitS);
});
