import { describe, expect, test } from "vitest";
import { emptyMemory } from "../../src/domain/memory.ts";
import { incarnationName, parseIncarnation, rankName } from "../../src/domain/names.ts";
import { scaleProblem } from "../../src/domain/scale.ts";
import { mayRestart } from "../../src/plan/restarts.ts";
import { makeSpec } from "../support/spec.ts";

describe("the restart budget", () => {
  const budget = { restartsMax: 3, windowS: 100 };
  const memory = (...times: number[]) => ({ ...emptyMemory(0), restarts: { x: times } });
  test.each([
    ["the first replacement is at once", [], 0, { kind: "now" }],
    ["the second waits 1 s", [10_000], 10_500, { kind: "later", atMs: 11_000 }],
    ["and comes then", [10_000], 11_000, { kind: "now" }],
    ["the third waits 2 s", [10_000, 12_000], 12_500, { kind: "later", atMs: 14_000 }],
    [
      "after three it is no",
      [10_000, 12_000, 15_000],
      60_000,
      { kind: "exhausted", count: 3, atMs: 110_000 },
    ],
    ["until the oldest leaves the window", [10_000, 12_000, 15_000], 110_001, { kind: "now" }],
  ] as const)("%s", (_name, times, nowMs, verdict) =>
    expect(mayRestart("x", memory(...times), budget, nowMs)).toEqual(verdict),
  );
});

describe("a scale request", () => {
  const external = makeSpec({
    scheduler: {
      port: 1,
      membership: "restart",
      command: ["p", "$PREFILL_URL_2", "${DECODE_HOST_1}"],
    },
  });
  const desired = { prefill: 2, decode: 2 };
  test.each([
    [{ role: "decode", replicas: 6 }, undefined],
    [{ role: "decode", replicas: 6, key: "k" }, undefined],
    [null, "A scale request is"],
    ["decode=3", "A scale request is"],
    [{ role: "decode" }, "A scale request is"],
    [{ role: "decode", replicas: "3" }, "A scale request is"],
    [{ role: "decode", replicas: 257 }, "A scale request is"],
    [{ role: "decode", replicas: 2, key: 7 }, "A scale request is"],
    [
      { role: "prefill", replicas: 1 },
      "scheduler.command names prefill replica 2, so prefill cannot go below 2 replicas.",
    ],
  ])("%j", (payload, problem) => {
    const answer = scaleProblem(payload, external, desired);
    if (problem === undefined) expect(answer).toBeUndefined();
    else expect(answer).toContain(problem);
  });
});

test("names in Ray are read back, dashes in a job's name included", () => {
  const replica = { role: "decode", index: 12 } as const;
  expect(parseIncarnation(incarnationName("my-decode-0-g1", replica, 3))).toEqual({
    job: "my-decode-0-g1",
    ...replica,
    generation: 3,
    rank: 0,
  });
  expect(parseIncarnation(rankName("my-decode-0-g1-r2", replica, 3, 11))).toEqual({
    job: "my-decode-0-g1-r2",
    ...replica,
    generation: 3,
    rank: 11,
  });
  expect(rankName("my", replica, 3, 0)).toBe(incarnationName("my", replica, 3));
  expect(parseIncarnation("my-decode-0-g1-r0")).toBeUndefined();
  expect(parseIncarnation("my-proxy-g1")).toBeUndefined();
});
