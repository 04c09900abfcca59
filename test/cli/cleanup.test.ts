import { expect, test } from "vitest";
import { sweepEach } from "../../src/cli/cleanup.ts";
import { PdjobError } from "../../src/domain/errors.ts";

const group = (job: string) => ({ job, kind: "placementGroup", name: `${job}-prefill-0-g1` });

/** Sweeps those; each takes so long that `started` runs by the time that the next one's turn comes. */
function sweeping(
  jobs: readonly string[],
  { started = "", silent = "", fails = new Map<string, Error>() },
) {
  const running = new Set<string>();
  return sweepEach(jobs, {
    isRunning: async (job) => running.has(job),
    async sweep(job) {
      running.add(started);
      const error = fails.get(job);
      if (error) throw error;
      return { found: [group(job)], ...(job === silent ? { problem: "n1 is silent." } : {}) };
    },
  });
}

test("a job that was started while others were swept is not touched", async () => {
  const { found } = await sweeping(["a", "b", "c"], { started: "b" });
  expect(found).toEqual([group("a"), group("c")]);
});

test("one that cannot be swept is named, and the others are swept", async () => {
  const fails = new Map([["b", new PdjobError("SpecInvalid", "its KV is left. Remove it there.")]]);
  expect(await sweeping(["a", "b", "c"], { fails })).toEqual({
    found: [group("a"), group("c")],
    problems: ["b: its KV is left. Remove it there."],
  });
});

test("one of which something may be left is named beside what was found of it", async () => {
  expect(await sweeping(["a", "b"], { silent: "a" })).toEqual({
    found: [group("a"), group("b")],
    problems: ["a: n1 is silent."],
  });
});

test("a cluster that does not answer ends it, and what was swept by then is told", async () => {
  const fails = new Map([["b", new PdjobError("RayUnreachable", "The GCS does not answer.")]]);
  expect(await sweeping(["a", "b", "c"], { fails })).toEqual({
    found: [group("a")],
    problems: ["b: The GCS does not answer."],
  });
});
