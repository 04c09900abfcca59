import { expect, test } from "vitest";
import type { Observed } from "../../src/domain/observed.ts";
import { whoHoldsGpus } from "../../src/plan/holders.ts";

const node = (gpus: number, free: number, alive = true) => ({
  ip: "10.0.0.7",
  alive,
  total: { GPU: gpus, CPU: 8 },
  available: { GPU: free, CPU: 8 },
});
const empty: Observed = { session: "s", placementGroups: [], replicas: [], proxies: [] };
const own = (state: "CREATED" | "PENDING", gpus: number) => ({
  name: `demo-decode-${gpus}-g1`,
  state,
  nodeIps: [],
  bundles: [{ GPU: gpus }, { GPU: gpus }],
});
const other = (name: string, GPU: number) => ({ name, GPU, CPU: 0 });

test.each([
  ["nobody", [node(8, 8)], [], [], "8 of 8 GPUs are free"],
  [
    "this job, another one with two replicas, and what no group accounts for",
    [node(8, 0), node(8, 1), node(4, 4, false)],
    [own("CREATED", 2), own("PENDING", 4)],
    [other("other-decode-0-g3", 4), other("other-prefill-0-g1", 4)],
    "1 of 16 GPUs are free; job other holds 8, this job 4, others 3",
  ],
  [
    "a group that is none of ours, and one without GPUs",
    [node(8, 0)],
    [],
    [other("training", 8), other("web", 0)],
    "0 of 8 GPUs are free; placement group training holds 8",
  ],
  [
    "more than are named",
    [node(8, 0)],
    [],
    ["a", "b", "c", "d", "e", "f", "g"].map((name) => other(name, 1)),
    "0 of 8 GPUs are free; placement group a holds 1, placement group b 1, placement group c 1, placement group d 1, placement group e 1, others 3",
  ],
] as const)("GPUs are held by %s", (_who, nodes, placementGroups, groupsOfOthers, text) => {
  expect(whoHoldsGpus({ ...empty, nodes, placementGroups, groupsOfOthers })).toBe(text);
});

test("nothing is said of what the agent did not tell", () => {
  expect(whoHoldsGpus(empty)).toBeUndefined();
});
