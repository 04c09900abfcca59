import { describe, expect, test } from "vitest";
import { abortProblem, abortTarget, undoProblem } from "../../src/domain/undo.ts";
import type { Returning } from "../../src/domain/undo.ts";
import { makeSpec } from "../support/spec.ts";

describe("undo", () => {
  const spec = makeSpec();
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
    expect(undoProblem(request, { spec, desired, revisions })).toBe(expected);
  });

  test.each(["3", 3, [3], { to: "3" }, { to: 3.5 }, { to: null }, { outage: "yes" }])(
    "%j is none",
    (payload) => {
      expect(undoProblem(payload, { spec, desired, revisions })).toMatch(/^An undo request is /);
    },
  );

  test("has nothing to go back to in a job of one config", () => {
    expect(undoProblem({}, { spec, desired, revisions: revisions.slice(0, 1) })).toBe(
      "Job demo has no earlier revision. It has had one config.",
    );
  });
});

describe("abort", () => {
  const old = makeSpec();
  const next = makeSpec({ prefill: { revision: "b" }, decode: { revision: "b" } });
  const desired = { replicas: { prefill: 2, decode: 2 } };
  const [first, failing] = [old, next].map((spec, at) => ({
    number: at + 1,
    atMs: 0,
    why: "apply",
    spec,
  }));
  const job: Returning = {
    spec: next,
    desired,
    revisions: [first, failing].flatMap((one) => one ?? []),
    settledRevision: 1,
  };

  test("goes back to what last served whole, whatever came in between", () => {
    expect(abortProblem(undefined, job)).toBeUndefined();
    expect(abortTarget(job)).toBe(first);
    const more = { ...job, revisions: [...job.revisions, { ...job.revisions[1]!, number: 3 }] };
    expect(abortProblem({}, more)).toBeUndefined();
    expect(abortTarget(more)).toBe(first);
  });

  test.each([
    ["no request", "1", {}, 'An abort request is {"outage"?:true}.'],
    ["no outage", { outage: 1 }, {}, 'An abort request is {"outage"?:true}.'],
    [
      "a job that stops",
      {},
      { desired: { ...desired, stop: { drain: true } } },
      "Job demo is stopping.",
    ],
    [
      "a job whose config serves, although it heals or scales",
      {},
      { settledRevision: 2 },
      "Revision 2 of job demo serves already: there is nothing to abort. Go back with undo.",
    ],
    [
      "a first deployment",
      {},
      { settledRevision: undefined },
      "Job demo has not served whole yet, so there is nothing to go back to. Stop it, or apply another config.",
    ],
    [
      "a job that is on its way back",
      {},
      { spec: old },
      "Job demo goes back to revision 1 already, as revision 2.",
    ],
    [
      "one that would leave nobody to serve",
      {},
      {
        spec: makeSpec({ numGpus: 4, prefill: { replicas: 1, revision: "b" } }),
        desired: { replicas: { prefill: 1, decode: 1 } },
        revisions: [
          {
            ...job.revisions[0]!,
            spec: makeSpec({
              numGpus: 4,
              prefill: { replicas: 1, revision: "a" },
              decode: { replicas: 1 },
            }),
          },
          ...job.revisions.slice(1),
        ],
      },
      "No prefill replica can be spared while it is replaced, and num_gpus 4 leaves no room for another beside it (6 would do). Allow that nothing serves meanwhile (--allow-outage), or raise num_gpus.",
    ],
  ])("%s is refused", (_what, request, more, expected) => {
    expect(abortProblem(request, { ...job, ...more })).toBe(expected);
  });
});
