import { expect, test } from "vitest";
import { figuresOf, goals, verdictsOf } from "../../bench/figures.ts";
import { requestsOf, sampleOf } from "./samples.ts";

const samples = [
  ...requestsOf("nginx", [20, 20, 20]),
  ...requestsOf("pdjob", [80, 84, 76]),
  ...requestsOf("toy", [5_600, 5_600, 5_600]),
];
const verdictOf = (text: string, from = samples) =>
  verdictsOf(from).find(({ goal }) => `${goal.text} ${goal.of} ${goal.per}` === text);

test("processor time is told per request, whatever the length of the window", () => {
  const longer = { ...sampleOf({ scenario: "request", contender: "pdjob" }), cpuMs: 160 };
  const found = figuresOf([{ ...longer, requests: 2_000, seconds: 4 }]);
  expect(found.map(({ metric, value }) => [metric, value])).toEqual([
    ["cpuUsPerRequest", 80],
    ["requestsPerSecond", 500],
    ["p50Ms", 0],
    ["failed", 0],
  ]);
});

test("a goal is met only when the worse end of the interval is", () => {
  const met = verdictOf("CPU per 1 KB request toy pdjob");
  expect([met?.figure.value, met?.isMet]).toEqual([70, true]);
  const missed = verdictOf("CPU per 1 KB request pdjob nginx");
  expect(missed?.figure.value).toBe(4);
  expect(missed?.figure.high).toBeGreaterThan(4);
  expect(missed?.isMet).toBe(false);
});

test("a goal that the run says nothing of is not judged", () => {
  const texts = verdictsOf(samples).map(({ goal }) => `${goal.of} ${goal.per}`);
  expect(texts).toEqual(["toy pdjob", "pdjob nginx"]);
});

test("a figure of our own is judged without anybody beside it", () => {
  const changes = [12, 18, 30].map((firstRequestMs, round) =>
    sampleOf({ scenario: "membership", contender: "pdjob", round, firstRequestMs }),
  );
  expect(verdictsOf(changes).map(({ figure, isMet }) => [figure.value, isMet])).toEqual([
    [0, true],
    [18, true],
  ]);
});

test("one failed request in one round is not hidden by the others", () => {
  const failed = [0, 1, 0].map((count, round) =>
    sampleOf({ scenario: "membership", contender: "pdjob", round, failed: count }),
  );
  expect(verdictsOf(failed).find(({ goal }) => goal.metric === "failed")?.isMet).toBe(false);
});

test("every goal has one limit", () => {
  const limits = goals.map(({ atLeast, atMost }) => [atLeast, atMost].filter(Number.isFinite));
  expect(limits.every(({ length }) => length === 1)).toBe(true);
});
