import { describe, expect, test } from "vitest";
import { emptyMemory } from "../../src/domain/memory.ts";
import { reconcile } from "../../src/plan/reconcile.ts";
import { rememberFailure } from "../../src/workflows/remember-failure.ts";
import { rememberSeen, rememberStart } from "../../src/workflows/remember.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

// Each of these was found by a simulated schedule.
describe("races", () => {
  test("a replica is not stopped while a membership is on its way that may name it", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const { state } = cluster;
    state.desired = { replicas: { prefill: 2, decode: 1 } };
    state.observed = {
      ...state.observed,
      proxies: state.observed.proxies.map((proxy) => ({
        ...proxy,
        membership: { generation: 1, members: [] },
      })),
    };
    state.inFlight = [{ key: "setMembership proxy g2", kind: "setMembership", target: "proxy" }];
    expect(cluster.turn().actions).toEqual([]);
    state.inFlight = [];
    expect(cluster.turn().actions.map(({ kind }) => kind)).toContain("stopReplica");
  });

  test("a reservation that was called off and comes again is no second replacement", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.setState("demo-decode-0-g1", "exited");
    while (!cluster.state.log.includes("removePlacementGroup decode-0 g1"))
      for (const action of cluster.turn().actions) cluster.run(action);
    const reserve = () =>
      cluster.turn().actions.find(({ kind }) => kind === "reservePlacementGroup");
    const first = reserve();
    expect(first).toMatchObject({ generation: 2, replaces: true });
    cluster.state.memory = rememberStart(cluster.state.memory, first!, cluster.state.nowMs);
    const again = reserve();
    expect(again).toMatchObject({ generation: 3, replaces: false });
    const memory = rememberStart(cluster.state.memory, again!, cluster.state.nowMs);
    expect(memory.restarts["decode-0"]).toHaveLength(1);

    const failure = { code: "Internal", message: "no" } as const;
    cluster.state.memory = rememberFailure(memory, again!, failure, cluster.state.nowMs);
    expect(reserve()).toBeUndefined();
    cluster.state.nowMs += 60_000;
    expect(reserve()).toMatchObject({ generation: 4, replaces: true });
  });

  test("a boot's deadline is on the job's clock, whatever the node's clock says", () => {
    const cluster = fakeCluster(makeSpec({ timeoutS: 60 }));
    cluster.settle();
    cluster.setState("demo-decode-0-g1", "starting");
    const { state } = cluster;
    state.memory = { ...state.memory, startedAtMs: { "decode-0": 5_000 } };
    const replicas = state.observed.replicas.map((one) => ({ ...one, startedAtMs: -3_600_000 }));
    state.observed = { ...state.observed, replicas };
    expect(cluster.turn().actions).toMatchObject([
      { kind: "waitHealthy", deadlineMs: 5_000 + 60_000 },
      { kind: "setMembership" },
    ]);
  });

  test("what waits for a node that can hold it says so", () => {
    const cluster = fakeCluster(makeSpec());
    const name = "demo-decode-0-g1";
    const group = { name, state: "PENDING", schedulingState: "INFEASIBLE", nodeIps: [] } as const;
    const { view } = reconcile({
      ...cluster.state,
      spec: makeSpec(),
      observed: { ...cluster.state.observed, placementGroups: [group] },
    });
    expect(view).toMatchObject({
      phase: "WAITING",
      reason: "decode-0 waits for a node with as many GPUs and CPUs as it needs; none is there now",
    });
  });

  test("a group that waits for a node that need not come makes way for a gang", () => {
    const spec = makeSpec({ decode: { numGpus: 4 } });
    const cluster = fakeCluster(spec);
    const node = (ip: string) => ({
      ip,
      alive: true,
      total: { GPU: 2, CPU: 8 },
      available: { GPU: 2, CPU: 8 },
    });
    const group = {
      name: "demo-decode-0-g1",
      state: "PENDING",
      schedulingState: "INFEASIBLE",
      nodeIps: [],
      bundles: [{ GPU: 4 }],
    } as const;
    const steps = (nodes: readonly string[]) =>
      reconcile({
        ...cluster.state,
        memory: { ...cluster.state.memory, engine: { notes: [] } },
        spec,
        observed: { ...cluster.state.observed, placementGroups: [group], nodes: nodes.map(node) },
      }).actions.filter((action) => "replica" in action && action.replica.role === "decode");
    expect(steps(["10.0.0.1"])[0]).toMatchObject({ kind: "reservePlacementGroup", generation: 1 });
    expect(steps(["10.0.0.1", "10.0.0.2"])[0]).toMatchObject({
      kind: "removePlacementGroup",
      generation: 1,
      reason: "the nodes can hold it cut in another way",
    });
  });

  test("a generation that was adopted is used up, even if it vanishes before anything is done to it", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const { view } = cluster.turn();
    const seen = {
      ...view,
      replicas: view.replicas.map((replica) => ({ ...replica, generation: 7 })),
      proxy: { ...view.proxy, generation: 3 },
    };
    expect(rememberSeen(emptyMemory(0), seen).generations).toEqual({
      "prefill-0": 7,
      "prefill-1": 7,
      "decode-0": 7,
      "decode-1": 7,
      proxy: 3,
    });
  });

  test("a job is not READY while a reservation that was called off may still bring a placement group", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const key = "reservePlacementGroup decode-5 g1";
    cluster.state.inFlight = [{ key, kind: "reservePlacementGroup", target: "decode-5" }];
    const { view, cancel } = cluster.turn();
    expect(cancel).toEqual([key]);
    expect(view).toMatchObject({ phase: "SCALING", reason: "decode-5 called off" });
    cluster.state.inFlight = [];
    expect(cluster.turn().view.phase).toBe("READY");
  });

  test("a first deployment that is READY after its timeout, because nobody could look meanwhile, is left alone", () => {
    const cluster = fakeCluster(makeSpec({ timeoutS: 60 }));
    while (!cluster.state.log.includes("runProxy proxy g1"))
      for (const action of cluster.turn().actions) cluster.run(action);
    expect(cluster.state.memory.served).toBe(false);
    const lateMs = 200_000;
    cluster.state.nowMs = lateMs;
    expect(cluster.turn()).toMatchObject({ view: { phase: "READY" }, actions: [] });
    expect(cluster.state.plan?.failure).toBeUndefined();
    cluster.setState("demo-decode-0-g1", "starting");
    expect(cluster.turn().failure).toBeUndefined();
  });

  test("a replica that stays wanted keeps its restarts when its group is cut anew or an old one is cleared away", () => {
    const spec = makeSpec({ decode: { replicas: 1 } });
    const cluster = fakeCluster(spec);
    cluster.settle();
    const left = { name: "demo-decode-0-g0", state: "CREATED", nodeIps: ["10.0.0.1"] } as const;
    const { observed } = cluster.state;
    cluster.state.observed = { ...observed, placementGroups: [...observed.placementGroups, left] };
    cluster.state.memory = { ...cluster.state.memory, restarts: { "decode-0": [1, 2, 3] } };
    const [clear] = cluster.turn().actions;
    expect(clear).toMatchObject({ kind: "removePlacementGroup", generation: 0, isWanted: true });
    cluster.run(clear!);
    expect(cluster.state.memory.restarts).toEqual({ "decode-0": [1, 2, 3] });
    expect(cluster.state.memory.started["decode-0"]).toBe(1);
  });
});
