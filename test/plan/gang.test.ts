import { describe, expect, test } from "vitest";
import type { Action } from "../../src/domain/action.ts";
import type { ObservedNode } from "../../src/domain/observed.ts";
import { rehearse } from "../../src/plan/rehearse.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const amounts = { GPU: 8, CPU: 8 };
const nodes: readonly ObservedNode[] = ["10.0.0.1", "10.0.0.2"].map((ip) => ({
  ip,
  alive: true,
  total: amounts,
  available: amounts,
}));
/** One prefill of 12 GPUs, so a gang of two on these nodes, and two decode replicas on one node each. */
const spec = makeSpec({ prefill: { numGpus: 12, replicas: 1 } });
const two = [{ GPU: 6 }, { GPU: 6 }];
const rank0 = "demo-prefill-0-g1";
const rank1 = "demo-prefill-0-g1-r1";
const next =
  "\nNext: pdjob-client logs demo prefill-0 --generation 1 --rank 1 shows all of its output.";

/** The engines' version is known already. */
const gangCluster = () => {
  const cluster = fakeCluster(spec, nodes);
  cluster.turn().actions.forEach(cluster.run);
  cluster.state.log.length = 0;
  return cluster;
};

const served = () => {
  const cluster = gangCluster();
  expect(cluster.settle().view.phase).toBe("READY");
  cluster.state.log.length = 0;
  return cluster;
};

const actionsOf = (cluster: ReturnType<typeof fakeCluster>, name: string): readonly Action[] =>
  cluster.turn().actions.filter((action) => "replica" in action && nameOf(action.replica) === name);

const nameOf = ({ role, index }: { role: string; index: number }): string => `${role}-${index}`;

test("a replica larger than any node is reserved as equal bundles, started as ranks and awaited as one", () => {
  const cluster = gangCluster();
  const first = actionsOf(cluster, "prefill-0")[0];
  expect(first).toMatchObject({
    kind: "reservePlacementGroup",
    bundles: two,
    strategy: "STRICT_SPREAD",
  });
  expect(cluster.turn().actions.filter((action) => "strategy" in action)).toHaveLength(1);
  cluster.turn().actions.forEach(cluster.run);
  const start = actionsOf(cluster, "prefill-0")[0];
  expect(start).toMatchObject({ kind: "startPrefill", bundles: two });
  cluster.turn().actions.forEach(cluster.run);
  expect(actionsOf(cluster, "prefill-0")[0]).toMatchObject({ kind: "waitHealthy", bundles: two });
  expect(cluster.settle().view.phase).toBe("READY");
  expect(cluster.state.starts).toEqual([rank1, rank0, "demo-decode-0-g1", "demo-decode-1-g1"]);
});

test("what a replica on one node is asked for does not mention ranks", () => {
  const plain = rehearse(makeSpec());
  expect(rehearse(makeSpec(), nodes)).toEqual(plain);
  expect(plain.some((action) => "strategy" in action)).toBe(false);
  expect(
    plain.some((action) => action.kind !== "reservePlacementGroup" && "bundles" in action),
  ).toBe(false);
});

test("a plan with nodes names the gang's steps once, as for any replica", () => {
  const steps = rehearse(spec, nodes).filter(
    (action) => "replica" in action && nameOf(action.replica) === "prefill-0",
  );
  expect(steps.map(({ kind }) => kind)).toEqual([
    "reservePlacementGroup",
    "startPrefill",
    "waitHealthy",
    "readKvIp",
  ]);
});

test("a group that waits keeps its bundles, though the nodes have changed meanwhile", () => {
  const cluster = gangCluster();
  cluster.turn().actions.forEach(cluster.run);
  const { placementGroups } = cluster.state.observed;
  cluster.state.observed = {
    ...cluster.state.observed,
    nodes: [{ ip: "10.0.0.9", alive: true, total: { GPU: 16, CPU: 8 }, available: amounts }],
    placementGroups: placementGroups.map((group) => ({ ...group, state: "PENDING" as const })),
  };
  expect(actionsOf(cluster, "prefill-0")[0]).toMatchObject({ generation: 1, bundles: two });
});

describe("any rank's end is the gang's end, and nobody else's:", () => {
  const healsAlone = (cluster: ReturnType<typeof fakeCluster>): void => {
    expect(cluster.settle().view.phase).toBe("READY");
    const names = [...cluster.state.observed.replicas, ...(cluster.state.observed.followers ?? [])];
    expect(names.map(({ name }) => name).toSorted()).toEqual([
      "demo-decode-0-g1",
      "demo-decode-1-g1",
      "demo-prefill-0-g2",
      "demo-prefill-0-g2-r1",
    ]);
  };

  test("a follower exits", () => {
    const cluster = served();
    cluster.setState(rank1, "exited");
    expect(cluster.turn().view).toMatchObject({ phase: "HEALING" });
    expect(actionsOf(cluster, "prefill-0")[0]).toMatchObject({
      kind: "stopReplica",
      generation: 1,
      failure: {
        code: "EngineExited",
        message: `Rank 1 of prefill-0 g1 exited with code unknown.${next}`,
      },
    });
    healsAlone(cluster);
    expect(cluster.state.log.slice(0, 5)).toEqual([
      "stopReplica prefill-0 g1",
      "setMembership proxy g2",
      "removePlacementGroup prefill-0 g1",
      "reservePlacementGroup prefill-0 g2",
      "startPrefill prefill-0 g2",
    ]);
  });

  test("a follower does not answer", () => {
    const cluster = served();
    cluster.setState(rank1, "lost");
    const seenMs = cluster.state.nowMs;
    expect(cluster.turn()).toMatchObject({ actions: [], wakeAtMs: seenMs + 5_000 });
    cluster.state.nowMs = seenMs + 5_000;
    expect(cluster.turn().view.replicas[0]?.note).toBe(
      "Rank 1 of prefill-0 g1 has not answered for 5 s: its node is down or hung.",
    );
    healsAlone(cluster);
  });

  test("a follower's actor is gone, or was made anew without processes", () => {
    for (const idle of [false, true]) {
      const cluster = served();
      if (idle) cluster.setState(rank1, "idle");
      else cluster.state.observed = { ...cluster.state.observed, followers: [] };
      expect(cluster.turn().view.replicas[0]?.note).toBe("Rank 1 of prefill-0 g1 is gone.");
      healsAlone(cluster);
    }
  });

  test("rank 0 is gone, and its followers go with it", () => {
    const cluster = served();
    const { replicas } = cluster.state.observed;
    cluster.state.observed = {
      ...cluster.state.observed,
      replicas: replicas.filter(({ name }) => name !== rank0),
    };
    expect(actionsOf(cluster, "prefill-0")[0]).toMatchObject({ kind: "stopReplica" });
    healsAlone(cluster);
  });

  test("the node of one of its bundles died", () => {
    const cluster = served();
    const { placementGroups } = cluster.state.observed;
    cluster.state.observed = {
      ...cluster.state.observed,
      followers: [],
      placementGroups: placementGroups.map((group) =>
        group.name === rank0 ? { ...group, state: "RESCHEDULING" as const } : group,
      ),
    };
    healsAlone(cluster);
  });
});

test("the rank that ended first is named, not those that followed", () => {
  const cluster = served();
  const exited = (atMs: number, logTail: string) =>
    ({ state: "exited", exit: { code: 1, signal: null, atMs }, logTail }) as const;
  const { replicas, followers = [] } = cluster.state.observed;
  cluster.state.observed = {
    ...cluster.state.observed,
    replicas: replicas.map((one) =>
      one.name === rank0 ? { ...one, ...exited(20, "peer lost") } : one,
    ),
    followers: followers.map((one) => ({ ...one, ...exited(10, "CUDA error") })),
  };
  expect(actionsOf(cluster, "prefill-0")[0]).toMatchObject({
    failure: {
      message: `Rank 1 of prefill-0 g1 exited with code 1. Its last lines:\nCUDA error${next}`,
    },
  });
});

describe("during a first deployment", () => {
  test("a rank whose process ends fails the job with its last lines", () => {
    const cluster = gangCluster();
    cluster.turn().actions.forEach(cluster.run);
    cluster.turn().actions.forEach(cluster.run);
    cluster.setState(rank1, "exited");
    expect(cluster.turn().failure).toMatchObject({
      code: "EngineExited",
      message: `Rank 1 of prefill-0 g1 exited with code unknown.${next}`,
    });
  });

  test("a rank that vanishes is the cluster's fault and is healed", () => {
    const cluster = gangCluster();
    cluster.turn().actions.forEach(cluster.run);
    cluster.turn().actions.forEach(cluster.run);
    cluster.state.observed = { ...cluster.state.observed, followers: [] };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.observed.followers?.map(({ name }) => name)).toEqual([
      "demo-prefill-0-g2-r1",
    ]);
  });

  test("a worker killed between two ranks goes on, and starts no rank twice", () => {
    for (const started of [0, 1]) {
      const cluster = gangCluster();
      cluster.turn().actions.forEach(cluster.run);
      const start = actionsOf(cluster, "prefill-0")[0];
      if (start?.kind !== "startPrefill") throw new Error(`planned ${start?.kind}`);
      cluster.startRanks(start, started);
      expect(actionsOf(cluster, "prefill-0")[0]).toMatchObject({ kind: "startPrefill" });
      expect(cluster.settle().view.phase).toBe("READY");
      expect(cluster.state.starts.filter((name) => name.includes("prefill"))).toEqual([
        rank1,
        rank0,
      ]);
    }
  });
});

test("followers that a crash left without rank 0 and group are stopped with the job", () => {
  const cluster = served();
  const followers = cluster.state.observed.followers ?? [];
  cluster.state.observed = {
    ...cluster.state.observed,
    placementGroups: [],
    replicas: [],
    proxies: [],
    followers,
  };
  cluster.state.desired = { ...cluster.state.desired, stop: { drain: false } };
  expect(cluster.settle().finished).toBe(true);
  expect(cluster.state.log).toContain("stopReplica prefill-0 g1");
  expect(cluster.state.observed.followers).toEqual([]);
});
