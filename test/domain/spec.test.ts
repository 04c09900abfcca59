import { expect, test } from "vitest";
import { applyProblem } from "../../src/domain/apply.ts";
import { rolloutOf } from "../../src/domain/spec.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { consequencesOf } from "../../src/plan/changes.ts";
import { makeSpec } from "../support/spec.ts";

const usual = { surge: 1, unavailable: 1, attempts: 2 };

test("a spec of an earlier version is rolled out as one that says nothing of it", () => {
  expect(rolloutOf({})).toEqual(usual);
  const own = { surge: 0, unavailable: 2, attempts: 1 };
  expect(rolloutOf({ rollout: own })).toBe(own);
});

test("whoever judges a change takes it so", () => {
  const before = makeSpec({ numGpus: 4, prefill: { replicas: 1 }, decode: { replicas: 1 } });
  const after = makeSpec({
    numGpus: 4,
    prefill: { replicas: 1 },
    decode: { replicas: 1, revision: "b" },
  });
  const counts = { prefill: 1, decode: 1 };
  const judged = (spec: JobSpec) => [
    applyProblem({ spec }, { spec: before, desired: { replicas: counts } }),
    consequencesOf(before, spec, counts),
  ];
  expect(judged(after)).toEqual(judged({ ...after, rollout: usual }));
  expect(judged(after)).not.toEqual(
    judged({ ...after, numGpus: 8, rollout: { ...usual, surge: 3 } }),
  );
});
