import { describe, expect, test } from "vitest";
import { applyProblem, undoProblem } from "../../src/domain/apply.ts";
import type { JobSpec, RoleSpec } from "../../src/domain/spec.ts";
import { makeSpec } from "../support/spec.ts";

const at = (revision: string, counts: readonly [number, number], numGpus = 16): JobSpec => {
  const role = (replicas: number): Partial<RoleSpec> => ({
    replicas,
    revision,
    kvRevision: revision,
  });
  return makeSpec({ numGpus, prefill: role(counts[0]), decode: role(counts[1]) });
};

const problem = (before: JobSpec, after: JobSpec, more = {}): string | undefined =>
  applyProblem(
    { spec: after, ...more },
    {
      spec: before,
      desired: {
        replicas: { prefill: before.roles.prefill.replicas, decode: before.roles.decode.replicas },
      },
    },
  );

describe("a config is refused, before anything is touched", () => {
  test.each([
    [
      "of another job",
      makeSpec(),
      { ...makeSpec(), name: "other" },
      "The config is of job other, and this is job demo. A job keeps its name.",
    ],
    [
      "that needs more GPUs than it allows itself",
      at("a", [2, 2]),
      at("a", [8, 2]),
      "8 prefill × 2 + 2 decode × 2 = 20 GPUs, but num_gpus of job demo is 16. Ask for fewer replicas, or start the job with a larger num_gpus.",
    ],
    [
      "that would leave nobody to serve: one role has room, and both need it, since they cannot be paired with the old ones",
      at("a", [1, 1], 6),
      at("b", [1, 1], 6),
      "No prefill and no decode replica can be spared while it is replaced, and num_gpus 6 leaves no room for another beside it (8 would do). Allow that nothing serves meanwhile (--allow-outage), or raise num_gpus.",
    ],
    [
      "whose own budget forbids to make room",
      at("a", [1, 2]),
      { ...at("b", [1, 2]), rollout: { surge: 0, unavailable: 1, attempts: 2 } },
      "No prefill replica can be spared while it is replaced, and rollout.surge is 0, so there is never another beside it. Allow that nothing serves meanwhile (--allow-outage), or raise num_gpus.",
    ],
  ])("one %s", (_what, before, after, expected) => {
    expect(problem(before, after)).toBe(expected);
  });

  test.each([undefined, 3, {}, { spec: 1 }, { spec: {} }])("%j is none", (payload) => {
    const desired = { replicas: { prefill: 2, decode: 2 } };
    expect(applyProblem(payload, { spec: makeSpec(), desired })).toMatch(/^An apply request is /);
  });

  test("nor is anything changed of a job that stops", () => {
    const desired = { replicas: { prefill: 2, decode: 2 }, stop: { drain: true } };
    expect(applyProblem({ spec: makeSpec() }, { spec: makeSpec(), desired })).toBe(
      "Job demo is stopping.",
    );
  });
});

test.each([
  ["replicas can be spared", at("a", [2, 2]), at("b", [2, 2]), {}],
  ["there is room for one more of each", at("a", [1, 1], 8), at("b", [1, 1], 8), {}],
  ["an outage is allowed", at("a", [1, 1], 4), at("b", [1, 1], 4), { outage: true }],
  ["no engine changes", at("a", [1, 1], 4), at("a", [1, 1], 4), {}],
])("a config is taken when %s", (_what, before, after, more) => {
  expect(problem(before, after, more)).toBeUndefined();
});

describe("undo", () => {
  const spec = at("a", [2, 2]);
  const revisions = [3, 4].map((number) => ({ number, atMs: 0, why: "apply", spec }));
  const desired = { replicas: { prefill: 2, decode: 2 } };

  test.each([
    [{}, undefined],
    [{ to: 3 }, undefined],
    [{ to: 2 }, "Job demo has no revision 2. Kept are 3, of the last 10."],
    [undefined, undefined],
    [null, undefined],
    [{ to: 3, outage: true }, undefined],
  ])("to %j: %s", (request, expected) => {
    expect(undoProblem(request, revisions, { spec, desired })).toBe(expected);
  });

  test.each(["3", 3, [3], { to: "3" }, { to: 3.5 }, { to: null }, { outage: "yes" }])(
    "%j is none",
    (payload) => {
      expect(undoProblem(payload, revisions, { spec, desired })).toMatch(/^An undo request is /);
    },
  );

  test("has nothing to go back to in a job of one config", () => {
    expect(undoProblem({}, revisions.slice(0, 1), { spec, desired })).toBe(
      "Job demo has no earlier revision. It has had one config.",
    );
  });
});
