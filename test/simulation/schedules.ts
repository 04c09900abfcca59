import { expect, test } from "vitest";
import { play } from "./play.ts";
import { cases } from "../support/thorough.ts";
import { makeSchedule } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import { withoutStacks } from "./stacks.ts";

/** `PDJOB_SEEDS=1000000` plays more. */
const seedsDefault = cases(500, 10_000);
/** Seeds in one test, so that a long run shows how far it is. */
const chunk = 500;
/** On a machine that does a lot besides. */
const chunkTimeoutMs = 600_000;

/**
 * Every n-th seed, so that files can share the work. A seed that fails is cut down to the steps that it needs and printed
 * with its trace; `PDJOB_SEED=n` plays that one alone.
 */
export function testSchedules(shard: number, shards: number): void {
  const only = process.env["PDJOB_SEED"];
  const count = Number(process.env["PDJOB_SEEDS"] ?? seedsDefault);
  const all =
    only === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(only)];
  const seeds = all.filter((seed) => seed % shards === shard);
  for (let from = 0; from < seeds.length; from += chunk) {
    const part = seeds.slice(from, from + chunk);
    test(
      `whatever happens, and in whatever order, every promise holds: seeds ${part[0]} to ${part.at(-1)}`,
      async () => {
        for (const seed of part) await expectCalm(makeSchedule(seed));
      },
      chunkTimeoutMs,
    );
  }
  if (seeds.length === 0) test.skip("no seed of this run is played by this file", () => undefined);
}

/** Fails with the shortest story that goes wrong in the same way. */
export async function expectCalm(schedule: Schedule): Promise<void> {
  const { violations } = await withoutStacks(() => play(schedule));
  const [first] = violations;
  if (!first) return;
  const short = await shorten(schedule, first.oracle);
  const { trace } = await play(short);
  expect.fail(
    [
      `PDJOB_SEED=${schedule.seed} violates "${first.oracle}": ${first.message}`,
      JSON.stringify(short, null, 2),
      ...trace,
    ].join("\n"),
  );
}

/** Leaves out each step that the violation does not need. */
async function shorten(schedule: Schedule, oracle: string): Promise<Schedule> {
  let short = schedule;
  for (let index = schedule.steps.length - 1; index >= 0; index--) {
    const fewer = { ...short, steps: short.steps.toSpliced(index, 1) };
    const { violations } = await withoutStacks(() => play(fewer));
    if (violations[0]?.oracle === oracle) short = fewer;
  }
  return short;
}
