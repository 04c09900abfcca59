import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObservedNode } from "../../src/domain/observed.ts";
import {
  explainNoPlace,
  layoutOf,
  layoutOfGroup,
  replicaBundles,
} from "../../src/plan/placement.ts";
import { makeSpec } from "../support/spec.ts";

const node = (ip: string, gpus: number, free = gpus, cpus = 4): ObservedNode => ({
  ip,
  alive: true,
  total: { GPU: gpus, CPU: cpus },
  available: { GPU: free, CPU: cpus },
});

const nodesOf = (...gpus: readonly number[]): readonly ObservedNode[] =>
  gpus.map((count, index) => node(`10.0.0.${index + 1}`, count));

describe("a replica's bundle on one node", () => {
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

describe("a layout", () => {
  test.each<[string, number, number, readonly number[], string]>([
    ["one bundle where some node has them all, however busy", 8, 1, [8, 8], "1 × 8 STRICT_PACK"],
    ["as few bundles as possible, each on a node of its own", 12, 1, [8, 8], "2 × 6 STRICT_SPREAD"],
    ["16 GPUs on two nodes of 8", 16, 1, [8, 8], "2 × 8 STRICT_SPREAD"],
    ["three bundles where two would need larger nodes", 24, 1, [8, 8, 8], "3 × 8 STRICT_SPREAD"],
    ["no bundle splits a worker", 12, 6, [8, 8], "2 × 6 STRICT_SPREAD"],
    ["five bundles of one worker of 4", 20, 4, [8, 8, 4, 4, 4], "5 × 4 STRICT_SPREAD"],
    ["bundles share a node only when nothing else fits", 12, 4, [8, 4], "3 × 4 SPREAD"],
    ["one bundle, which Ray refuses, when nothing fits", 32, 1, [8, 8], "1 × 32 STRICT_PACK"],
    ["one bundle when a worker is larger than any node", 16, 16, [8, 8], "1 × 16 STRICT_PACK"],
    ["one bundle without any node", 16, 1, [], "1 × 16 STRICT_PACK"],
    ["one bundle on the CPU alone", 0, 1, [8, 8], "1 × 0 STRICT_PACK"],
  ])("%s", (_name, numGpus, gpusPerWorker, gpus, expected) => {
    const spec = makeSpec({ gpusPerWorker, prefill: { numGpus } });
    expect(describeLayout(layoutOf(spec, "prefill", nodesOf(...gpus)))).toBe(expected);
  });

  test("is one bundle when the nodes are not known", () =>
    expect(
      describeLayout(layoutOf(makeSpec({ prefill: { numGpus: 16 } }), "prefill", undefined)),
    ).toBe("1 × 16 STRICT_PACK"));

  test("counts nodes that are alive, and their CPUs", () => {
    const spec = makeSpec({ numCpus: 1, prefill: { numGpus: 8 } });
    const dead = { ...node("10.0.0.9", 8, 8, 64), alive: false };
    const small = nodesOf(8, 8);
    expect(describeLayout(layoutOf(spec, "prefill", [dead, ...small]))).toBe("2 × 4 STRICT_SPREAD");
    expect(layoutOf(spec, "prefill", [dead, ...small]).bundles[0]).toEqual({ GPU: 4, CPU: 4 });
  });

  test.each([
    [3, "3 × 4 STRICT_SPREAD", "three ranks of 4 GPUs on nodes, not two nodes of one and a half"],
    [4, "2 × 6 STRICT_SPREAD", "two ranks of 3 GPUs on each node"],
    [1, "2 × 6 STRICT_SPREAD", "no data parallelism to respect"],
  ])("with data_parallel_size %i is %s: %s", (size, expected) => {
    const spec = makeSpec({ prefill: { numGpus: 12, params: { data_parallel_size: size } } });
    expect(describeLayout(layoutOf(spec, "prefill", nodesOf(8, 8, 8)))).toBe(expected);
    const extra = makeSpec({
      prefill: { numGpus: 12, extraArgs: [`--data-parallel-size=${size}`] },
    });
    expect(describeLayout(layoutOf(extra, "prefill", nodesOf(8, 8, 8)))).toBe(expected);
  });

  test("of a group that exists stays as it was cut, whatever the nodes are now", () => {
    const bundles = [{ GPU: 6 }, { GPU: 6 }];
    expect(layoutOfGroup(bundles, nodesOf(16))).toEqual({ bundles, strategy: "SPREAD" });
    expect(layoutOfGroup(bundles, nodesOf(8, 8))).toEqual({ bundles, strategy: "STRICT_SPREAD" });
    expect(layoutOfGroup([{ GPU: 6 }])).toEqual({ bundles: [{ GPU: 6 }], strategy: "STRICT_PACK" });
  });

  test("always adds up to the replica, in equal bundles of whole workers, and is spread only when no node holds it", () => {
    const sizes = fc.record({
      workers: fc.integer({ min: 1, max: 24 }),
      unit: fc.integer({ min: 1, max: 4 }),
      nodes: fc.array(fc.integer({ min: 0, max: 16 }), { maxLength: 6 }),
      dataParallel: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(sizes, ({ workers, unit, nodes, dataParallel }) => {
        const numGpus = workers * unit;
        const params = { data_parallel_size: dataParallel };
        const spec = makeSpec({ gpusPerWorker: unit, prefill: { numGpus, params } });
        const { bundles, strategy } = layoutOf(spec, "prefill", nodesOf(...nodes));
        const size = bundles[0]?.GPU ?? 0;
        expect(bundles.every(({ GPU }) => GPU === size)).toBe(true);
        expect(size * bundles.length).toBe(numGpus);
        expect(size % unit).toBe(0);
        expect(bundles.length > 1 && nodes.some((gpus) => gpus >= numGpus)).toBe(false);
        if (strategy !== "STRICT_SPREAD") return;
        expect(nodes.filter((gpus) => gpus >= size).length).toBeGreaterThanOrEqual(bundles.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe("an operator is told why there is no place, with the numbers:", () => {
  const explain = (
    overrides: Parameters<typeof makeSpec>[0],
    nodes: readonly ObservedNode[],
    layout?: ReturnType<typeof layoutOf>,
  ): string => {
    const spec = makeSpec(overrides);
    const chosen = layout ?? layoutOf(spec, "prefill", nodes);
    return explainNoPlace({ spec, role: "prefill", layout: chosen }, nodes);
  };

  test("others hold it", () =>
    expect(
      explain({ prefill: { numGpus: 4 } }, [
        node("10.0.0.1", 8, 2),
        { ...node("10.0.0.2", 8), alive: false },
      ]),
    ).toBe(
      "It needs 4 GPUs and 0 CPUs on one node, which others hold at the moment (10.0.0.1: 2 of 8 GPUs and 4 of 4 CPUs free). Stop or scale down another job, or add a node.",
    ));

  test("others hold a gang's", () =>
    expect(
      explain({ prefill: { numGpus: 12 } }, [node("10.0.0.1", 8, 2), node("10.0.0.2", 8)]),
    ).toBe(
      "It needs 2 bundles of 6 GPUs and 0 CPUs, each on a node of its own, which others hold at the moment (10.0.0.1: 2 of 8 GPUs and 4 of 4 CPUs free; 10.0.0.2: 8 of 8 GPUs and 4 of 4 CPUs free). Stop or scale down another job, or add a node.",
    ));

  test("the nodes have it in no way", () =>
    expect(explain({ prefill: { numGpus: 24 }, gpusPerWorker: 4 }, nodesOf(8, 8))).toBe(
      "It needs 24 GPUs and 0 CPUs on one node, and no node has that many at all (10.0.0.1: 8 of 8 GPUs and 4 of 4 CPUs free; 10.0.0.2: 8 of 8 GPUs and 4 of 4 CPUs free). Nor do the nodes hold it as 2 × 12, 3 × 8, 6 × 4 GPUs (gpus_per_worker 4). Lower num_gpus or num_cpus, or add a larger node.",
    ));

  test("a worker is larger than a node", () =>
    expect(explain({ prefill: { numGpus: 16 }, gpusPerWorker: 16 }, nodesOf(8))).toContain(
      "and no node has that many at all (10.0.0.1: 8 of 8 GPUs and 4 of 4 CPUs free). It cannot span nodes with gpus_per_worker 16. Lower",
    ));

  test("a gang's nodes are gone", () => {
    const layout = layoutOfGroup([{ GPU: 6 }, { GPU: 6 }], nodesOf(8));
    expect(explain({ prefill: { numGpus: 12 } }, nodesOf(8), layout)).toContain(
      "It needs 2 bundles of 6 GPUs and 0 CPUs, each on a node of its own, and the nodes cannot hold that at all (10.0.0.1: 8 of 8 GPUs",
    );
  });

  test("there is no node, and no GPU is asked for", () =>
    expect(explain({ prefill: { numGpus: 0 }, numCpus: 3 }, [])).toBe(
      "It needs 0 GPUs and 3 CPUs on one node, and no node has that many at all (no node is alive). Lower num_gpus or num_cpus, or add a larger node.",
    ));
});

const describeLayout = ({ bundles, strategy }: ReturnType<typeof layoutOf>): string =>
  `${bundles.length} × ${bundles[0]?.GPU ?? 0} ${strategy}`;
