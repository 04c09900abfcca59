import { describe, expect, test } from "vitest";
import { emptyMemory } from "../../src/domain/memory.ts";
import { incarnationName, parseIncarnation, rankName } from "../../src/domain/names.ts";
import { scaleProblem } from "../../src/domain/scale.ts";
import { explainNoPlace, replicaBundles } from "../../src/plan/placement.ts";
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

describe("a replica's bundle", () => {
  test.each([
    [{ numCpus: 0 }, 8, { GPU: 8 }],
    [{ numCpus: 2 }, 8, { GPU: 8, CPU: 16 }],
    [{ numCpus: 2, gpusPerWorker: 4 }, 8, { GPU: 8, CPU: 4 }],
    [{ numCpus: 3 }, 0, { CPU: 3 }],
  ])("%j and %i GPUs", (overrides, numGpus, bundle) =>
    expect(replicaBundles(makeSpec({ ...overrides, decode: { numGpus } }), "decode")).toEqual([
      bundle,
    ]),
  );
});

test("an operator is told why there is no place, with the numbers", () => {
  const node = (ip: string, free: number) => ({
    ip,
    alive: true,
    total: { GPU: 8, CPU: 4 },
    available: { GPU: free, CPU: 4 },
  });
  expect(
    explainNoPlace({ GPU: 4 }, [node("10.0.0.1", 2), { ...node("10.0.0.2", 8), alive: false }]),
  ).toBe(
    "It needs 4 GPUs and 0 CPUs on one node, which other jobs hold at the moment (10.0.0.1: 2 of 8 GPUs and 4 of 4 CPUs free). Stop or scale down another job, or add a node.",
  );
  expect(explainNoPlace({ GPU: 16 }, [])).toBe(
    "It needs 16 GPUs and 0 CPUs on one node, and no node has that many at all (no node is alive). Lower num_gpus or num_cpus, or add a larger node.",
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
