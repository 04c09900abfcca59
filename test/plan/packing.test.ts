import { describe, expect, test } from "vitest";
import type { ObservedNode } from "../../src/domain/observed.ts";
import { unplaced } from "../../src/plan/packing.ts";
import { makeSpec } from "../support/spec.ts";

const nodesOf = (...gpus: readonly number[]): readonly ObservedNode[] =>
  gpus.map((count, index) => {
    const total = { GPU: count, CPU: 8 };
    return { ip: `10.0.0.${index + 1}`, alive: true, total, available: total };
  });

const left = (overrides: Parameters<typeof makeSpec>[0], ...gpus: readonly number[]) =>
  unplaced(makeSpec(overrides), nodesOf(...gpus)).map(
    ({ replica, feasible }) =>
      `${replica.role}-${replica.index} ${feasible ? "waits" : "never fits"}`,
  );

describe("a whole job on empty nodes", () => {
  test.each([
    ["fits exactly", {}, [8], []],
    ["fits with a gang", { prefill: { numGpus: 12, replicas: 1 } }, [8, 8], []],
    [
      "has no room for a replica beside a gang, though enough GPUs are free in all",
      { prefill: { numGpus: 12, replicas: 1 }, decode: { numGpus: 4, replicas: 1 } },
      [8, 8],
      ["decode-0 waits"],
    ],
    [
      "does not mix what waits with what never fits",
      { decode: { numGpus: 9 } },
      [3],
      ["prefill-1 waits", "decode-0 never fits", "decode-1 never fits"],
    ],
    [
      "fills small nodes first, so that large replicas find room",
      { decode: { numGpus: 8 } },
      [8, 2, 8, 2],
      [],
    ],
    ["counts CPUs", { numCpus: 3 }, [8, 8], ["decode-0 waits", "decode-1 waits"]],
  ] as const)("%s", (_name, overrides, gpus, expected) =>
    expect(left(overrides, ...gpus)).toEqual(expected),
  );
});
