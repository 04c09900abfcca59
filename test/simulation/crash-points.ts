import { expect, test } from "vitest";
import { firstKind } from "./schedule.ts";
import { makeSpec } from "../support/spec.ts";
import { cases } from "../support/thorough.ts";
import { blockRay, isolateWorker, killAgent, killWorker, stopTemporal } from "./faults.ts";
import type { Job } from "./job.ts";
import { scenarios } from "./scenarios.ts";
import type { Scenario } from "./scenarios.ts";
import { settle, settleWithinMs, tearDown, unsettled } from "./settle.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

/** Longer than the heartbeat timeout, so that somebody else has taken over meanwhile. */
const awayMs = 20_000;

/** By then everything of an act was asked for, and whoever was away is back. */
const actTakesMs = 75_000;

/** What strikes at a crash point. None of it is visible to clients, and all of it may cost time only. */
type Strikes = Readonly<Record<string, (world: World) => void>>;

export const ofWorkers: Strikes = {
  "the worker dies": (world) => killWorker(world, world.hosts[0]!),
  "its agent dies": (world) => killAgent(world, world.hosts[0]!),
  "the worker loses Temporal": (world) => isolateWorker(world, world.hosts[0]!, awayMs),
};
export const ofServers: Strikes = {
  "Temporal is down": (world) => stopTemporal(world, awayMs),
  "Ray's tables are out of reach": (world) => blockRay(world, awayMs),
};

interface Run {
  readonly world: World;
  readonly job: Job;
  /** Boundaries that were reached in the act. */
  readonly points: readonly string[];
}

/** Plays a scenario; at the given boundary of its act, something strikes. */
async function play(scenario: Scenario, at = -1, strike?: (world: World) => void): Promise<Run> {
  const { prefill, decode, historyEventsMax, upload, failsToBoot, act } = scenario;
  const points: string[] = [];
  let isActing = false;
  const world = createWorld({
    seed: 7,
    ...(historyEventsMax === undefined ? {} : { historyEventsMax }),
    boundary(what) {
      if (!isActing) return;
      if (points.length === at) {
        world.note(`at ${what}`);
        points.push(what);
        strike?.(world);
        // Those who take over from a worker that is away.
        if (world.hosts.length === 1) world.addHost();
      } else points.push(what);
    },
  });
  if (failsToBoot) world.boots.set(`demo/${failsToBoot}`, [{ takesMs: 500, fails: true }]);
  isActing = act === undefined;
  const job = world.start(
    makeSpec({
      prefill: { replicas: prefill, ...firstKind },
      decode: { replicas: decode, ...firstKind },
      ...(upload === undefined ? {} : { upload }),
    }),
  )!;
  if (act) {
    await world.run(settleWithinMs, () => unsettled(world, job).length === 0);
    isActing = true;
    act(world, job);
  }
  await world.run(actTakesMs);
  await settle(world);
  return { world, job, points };
}

/** What must be the same whatever struck: who serves, in which generation, and how the job ended. */
const finalState = ({ world, job }: Run) => ({
  status: job.execution.status,
  failure: job.execution.ending?.kind === "failed" ? job.execution.ending.code : undefined,
  groups: [...world.cluster.ray.groups.keys()].toSorted(),
  actors: [...world.cluster.ray.actors.keys()].toSorted(),
  revisions: job.now.roles.decode.revision,
  generations: world.cluster.engines.map(({ name }) => name).toSorted(),
});

/** `npm test` takes every second one; CI takes all. */
const stride = cases(2, 1);

/** Every scenario, struck at each boundary before and after each of its steps. Two files of tests: each takes a processor. */
export function crashPoints(strikes: Strikes): void {
  for (const scenario of scenarios)
    test.each(Object.entries(strikes))(
      `${scenario.name}: %s right before or after any step, and nothing differs in the end`,
      async (how, strike) => {
        const calm = await play(scenario);
        expect(calm.world.violations).toEqual([]);
        expect(calm.job.execution.status).toBe(scenario.ends ?? "running");
        expect(calm.job.execution.runs > 1).toBe(scenario.historyEventsMax !== undefined);
        expect(calm.points.length).toBeGreaterThan(10);
        expect(calm.points.some((point) => point.includes("upload"))).toBe(
          scenario.upload !== undefined,
        );
        for (let at = 0; at < calm.points.length; at += stride)
          await expectNoDifference(calm, await play(scenario, at, strike), at, how);
      },
    );
}

async function expectNoDifference(calm: Run, run: Run, at: number, how: string): Promise<void> {
  const [expected, actual] = [finalState(calm), finalState(run)];
  await tearDown(run.world);
  if (run.world.violations.length === 0 && JSON.stringify(actual) === JSON.stringify(expected))
    return;
  throw new Error(
    [
      `${how} at point ${at} of ${calm.points.length}: ${run.points[at]}`,
      `ends as ${JSON.stringify(actual)}`,
      `and not ${JSON.stringify(expected)}`,
      ...run.world.trace,
    ].join("\n"),
  );
}
