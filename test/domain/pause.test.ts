import { expect, test } from "vitest";
import { pauseProblem } from "../../src/domain/pause.ts";

const rollout = { revision: 3, since: {} };

test.each([
  ["an update under way", { rollout }, 2, true, undefined],
  ["one before the job ever served whole", { rollout }, undefined, true, undefined],
  [
    "one that serves whole",
    { rollout },
    3,
    true,
    "Revision 3 of job demo serves already: there is nothing to pause.",
  ],
  [
    "no change at all",
    {},
    1,
    true,
    "Job demo has had no change of its config: there is nothing to pause.",
  ],
  ["a job that stops", { rollout, stop: { drain: true } }, 2, true, "Job demo is stopping."],
  ["a pause that is left from before", { rollout }, 3, false, undefined],
  [
    "no yes or no",
    { rollout },
    2,
    "yes",
    'A pause request is {"paused":true} or {"paused":false}.',
  ],
])("pause or resume: %s", (_, desired, settled, paused, problem) => {
  expect(pauseProblem("demo", desired, settled, { paused })).toBe(problem);
});
