import { expect, test } from "vitest";
import { sweepEach } from "../../src/cli/cleanup.ts";
import { PdjobError } from "../../src/domain/errors.ts";

const group = (job: string) => ({ job, kind: "placementGroup", name: `${job}-prefill-0-g1` });

/** Sweeps those; each takes so long that `started` runs by the time that the next one's turn comes. */
function sweeping(jobs: readonly string[], { started = "", fails = new Map<string, Error>() }) {
  const running = new Set<string>();
  return sweepEach(jobs, {
    isRunning: async (job) => running.has(job),
    async sweep(job) {
      running.add(started);
      const error = fails.get(job);
      if (error) throw error;
      return [group(job)];
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

test("a cluster that does not answer ends it", async () => {
  const fails = new Map([["a", new PdjobError("RayUnreachable", "The GCS does not answer.")]]);
  await expect(sweeping(["a", "b"], { fails })).rejects.toThrow("The GCS does not answer.");
});
