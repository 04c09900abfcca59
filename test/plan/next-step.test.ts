import { expect, test } from "vitest";
import type { Failure } from "../../src/domain/errors.ts";
import { firstLine, lostForMs } from "../../src/plan/condemn.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

type Cluster = ReturnType<typeof fakeCluster>;

const node = { alive: true, total: { GPU: 8, CPU: 8 }, available: { GPU: 8, CPU: 8 } };
const nodes = [
  { ...node, ip: "10.0.0.1" },
  { ...node, ip: "10.0.0.2" },
];
/** One prefill that spans both nodes, so there is a rank to lose. */
const spec = makeSpec({ prefill: { numGpus: 12, replicas: 1 } });
const rank0 = "demo-prefill-0-g1";
const rank1 = "demo-prefill-0-g1-r1";
const decode = "demo-decode-1-g1";

/** The failure that a READY job's next turn gives a part up with, after `happen` and the time in which it may come back. */
function failureAfter(happen: (cluster: Cluster) => void): Failure | undefined {
  const cluster = fakeCluster(spec, nodes);
  cluster.settle();
  happen(cluster);
  cluster.turn();
  cluster.state.nowMs += lostForMs;
  const { actions } = cluster.turn();
  return actions.flatMap((one) => ("failure" in one && one.failure ? [one.failure] : []))[0];
}

const without =
  (...names: readonly string[]) =>
  ({ state }: Cluster): void => {
    const { replicas, followers = [], proxies } = state.observed;
    const isLeft = ({ name }: { readonly name: string }): boolean => !names.includes(name);
    state.observed = {
      ...state.observed,
      replicas: replicas.filter(isLeft),
      followers: followers.filter(isLeft),
      proxies: proxies.filter(isLeft),
    };
  };

const exitOf = (part: string): string =>
  `Next: pdjob-client logs demo ${part} shows all of its output.`;
const lossOf = (part: string): string =>
  `Next: pdjob-client doctor tells which nodes are alive, pdjob-client logs demo ${part} what it wrote, and pdjob-client status demo --watch how it heals.`;

test.each<[string, Failure["code"], (cluster: Cluster) => void, string]>([
  [
    "an engine exits",
    "EngineExited",
    ({ setState }) => setState(decode, "exited"),
    exitOf("decode-1 --generation 1"),
  ],
  [
    "a rank of a gang exits",
    "EngineExited",
    ({ setState }) => setState(rank1, "exited"),
    exitOf("prefill-0 --generation 1 --rank 1"),
  ],
  [
    "a rank is silent",
    "RankLost",
    ({ setState }) => setState(rank1, "lost"),
    lossOf("prefill-0 --generation 1 --rank 1"),
  ],
  ["a rank is gone", "RankLost", without(rank1), lossOf("prefill-0 --generation 1 --rank 1")],
  [
    "an actor is silent",
    "ClusterChanged",
    ({ setState }) => setState(decode, "lost"),
    lossOf("decode-1 --generation 1"),
  ],
  ["an actor is gone", "ClusterChanged", without(decode), lossOf("decode-1 --generation 1")],
  [
    "all ranks are gone",
    "ClusterChanged",
    without(rank0, rank1),
    lossOf("prefill-0 --generation 1"),
  ],
])("%s: %s says what to do next, on a line of its own", (_, code, happen, next) => {
  const failure = failureAfter(happen);
  expect(failure?.code).toBe(code);
  expect(failure?.message.split("\n").at(-1)).toBe(next);
  expect(failure && firstLine(failure)).not.toContain("Next:");
});

test("so does the loss of the proxy's actor", () => {
  const cluster = fakeCluster(spec, nodes);
  cluster.settle();
  without("demo-proxy-g1")(cluster);
  const { failure } = cluster.turn().view.proxy;
  expect(failure?.message.split("\n")).toEqual(["The proxy's actor is gone.", lossOf("proxy")]);
});
