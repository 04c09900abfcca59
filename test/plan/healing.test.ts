import { describe, expect, test } from "vitest";
import { actionKey } from "../../src/domain/action.ts";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { ObservedReplica } from "../../src/domain/observed.ts";
import { forgive } from "../../src/domain/restart.ts";
import { lostForMs } from "../../src/plan/condemn.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const minuteMs = 60_000;

const members = (cluster: ReturnType<typeof fakeCluster>): readonly string[] =>
  (cluster.state.observed.proxies[0]?.membership?.members ?? []).map(({ name }) => name);

describe("healing", () => {
  test("takes a dead replica out of the proxy and replaces it without touching the others", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.setState("demo-prefill-1-g1", "exited");
    cluster.state.log.length = 0;
    expect(cluster.settle().view.phase).toBe("READY");
    expect(members(cluster).toSorted()).toEqual([
      "demo-decode-0-g1",
      "demo-decode-1-g1",
      "demo-prefill-0-g1",
      "demo-prefill-1-g2",
    ]);
    expect(
      cluster.state.log.filter((key) => !key.includes("prefill-1") && !key.includes("proxy")),
    ).toEqual([]);
  });

  test("gives up on a replica that keeps dying and says why", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    for (let generation = 1; generation <= 4; generation++) {
      cluster.setState(`demo-decode-0-g${generation}`, "exited");
      cluster.settle(minuteMs);
    }
    const { view, wakeAtMs } = cluster.turn();
    expect(view.phase).toBe("DEGRADED");
    expect(wakeAtMs).toBe(600_000 + (cluster.state.memory.restarts["decode-0"]?.[0] ?? 0));
    expect(view.reason).toBe(
      "decode-0 was replaced 3 times within 600 s and is left down: The engine of decode-0 g4 exited with code unknown.",
    );
    expect(members(cluster)).toHaveLength(3);
  });

  test("tries again when the oldest replacement leaves the window", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    for (let generation = 1; generation <= 4; generation++) {
      cluster.setState(`demo-decode-0-g${generation}`, "exited");
      cluster.settle(minuteMs);
    }
    expect(cluster.settle().view.phase).toBe("READY");
    expect(members(cluster)).toContain("demo-decode-0-g5");
  });

  test.each([
    [undefined, "stopped answering /health."],
    [61, "hangs: it answers /health, but its engine core makes no progress for 61 s."],
  ])("replaces an engine that hangs, and says how: %s", (stalledS, how) => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const { observed } = cluster.state;
    const hang = (actor: ObservedReplica): ObservedReplica =>
      actor.name === "demo-decode-0-g1"
        ? { ...actor, state: "unhealthy", ...(stalledS === undefined ? {} : { stalledS }) }
        : actor;
    cluster.state.observed = { ...observed, replicas: observed.replicas.map(hang) };
    const { actions } = cluster.turn();
    expect(actions.map(({ reason }) => reason)).toContain(`The engine of decode-0 g1 ${how}`);
  });

  test("leaves an actor that is silent for a moment alone, in the proxy too", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    for (const { name } of cluster.state.observed.replicas) cluster.setState(name, "lost");
    const plan = cluster.turn();
    expect(plan.actions).toEqual([]);
    expect(plan.wakeAtMs).toBe(cluster.state.nowMs + lostForMs);
    cluster.setState("demo-decode-0-g1", "healthy");
    expect(cluster.turn().actions).toEqual([]);
    cluster.state.nowMs += lostForMs;
    const stopped = cluster.turn().actions.map(actionKey);
    expect(stopped).toEqual([
      "stopReplica prefill-0 g1",
      "stopReplica prefill-1 g1",
      "stopReplica decode-1 g1",
      "setMembership proxy g2",
    ]);
  });

  test("asks for no look in the past while what is lost is being removed", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.setState("demo-decode-1-g1", "lost");
    cluster.turn();
    cluster.state.nowMs += lostForMs;
    cluster.state.inFlight = [
      { key: "stopReplica decode-1 g1", kind: "stopReplica", target: "decode-1" },
      { key: "setMembership proxy g2", kind: "setMembership", target: "proxy" },
    ];
    const { actions, wakeAtMs } = cluster.turn();
    expect([actions, wakeAtMs]).toEqual([[], undefined]);
  });

  test("starts nothing with an address that prefill-0 no longer has", () => {
    const spec = makeSpec({ decode: { params: { kv_ip: "{KV_IP}" } } });
    const cluster = fakeCluster(spec);
    cluster.settle();
    cluster.setState("demo-prefill-0-g1", "exited");
    cluster.setState("demo-decode-1-g1", "exited");
    cluster.state.log = [];
    cluster.settle();
    const { log } = cluster.state;
    expect(log.filter((one) => one.startsWith("start"))).toEqual([
      "startPrefill prefill-0 g2",
      "startDecode decode-1 g2",
    ]);
  });

  test("waits for a silent proxy before it stops a replica that may have streams", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    const { observed } = cluster.state;
    cluster.state.observed = {
      ...observed,
      proxies: observed.proxies.map((proxy) => ({ ...proxy, state: "lost" as const })),
    };
    expect(cluster.turn().actions).toEqual([]);
  });

  test("replaces a proxy that exited and gives it the members again", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.observed = {
      ...cluster.state.observed,
      proxies: cluster.state.observed.proxies.map((proxy) => ({
        ...proxy,
        state: "exited" as const,
      })),
    };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.observed.proxies).toMatchObject([{ name: "demo-proxy-g1", run: 2 }]);
    expect(members(cluster)).toHaveLength(4);
  });

  test("deploys everything anew when the cluster was restarted empty", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.observed = { session: "s2", placementGroups: [], replicas: [], proxies: [] };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(members(cluster).every((name) => name.endsWith("-g2"))).toBe(true);
  });
});

describe("a restart on request", () => {
  const ready = () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.log = [];
    return cluster;
  };

  test("takes a healthy replica out of the proxy, then replaces it under a new generation", () => {
    const cluster = ready();
    cluster.state.desired = { ...cluster.state.desired, retired: { "decode-1": 1 } };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log).toEqual([
      "setMembership proxy g2",
      "stopReplica decode-1 g1",
      "removePlacementGroup decode-1 g1",
      "reservePlacementGroup decode-1 g2",
      "startDecode decode-1 g2",
      "waitHealthy decode-1 g2",
      "sendCanary decode-1 g2",
      "setMembership proxy g3",
    ]);
    expect(cluster.state.memory.restarts).toEqual({});
  });

  test("replaces the proxy without touching its budget", () => {
    const cluster = ready();
    cluster.state.desired = { ...cluster.state.desired, retired: { proxy: 1 } };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log).toEqual([
      "renderProxy proxy g2",
      "runProxy proxy g2",
      "drainProxy proxy-g1",
      "stopProxy proxy-g1",
    ]);
    expect(cluster.state.memory.restarts).toEqual({});
  });

  test("cancels the wait for a generation that is to be replaced, and no other", () => {
    const cluster = ready();
    cluster.setState("demo-decode-1-g1", "starting");
    cluster.state.desired = { ...cluster.state.desired, retired: { "decode-1": 1 } };
    cluster.state.inFlight = ["decode-0", "decode-1"].map((target) => ({
      key: `waitHealthy ${target} g1`,
      kind: "waitHealthy" as const,
      target,
    }));
    expect(cluster.turn().cancel).toEqual(["waitHealthy decode-1 g1"]);
  });

  test("brings back what was left down, since its failures are forgiven", () => {
    const cluster = ready();
    for (let turn = 0; turn < 8; turn++) {
      const current = cluster.state.observed.replicas.find(({ name }) => name.includes("decode-1"));
      if (current) cluster.setState(current.name, "exited");
      cluster.state.nowMs += 10;
      cluster.settle(minuteMs);
    }
    expect(cluster.turn().view.phase).toBe("DEGRADED");
    cluster.state.memory = forgive(cluster.state.memory, "decode-1");
    expect(cluster.settle().view.phase).toBe("READY");
  });
});

test("a job that has become READY has nothing to wake up for", () => {
  const cluster = fakeCluster(makeSpec());
  let plan = cluster.turn();
  expect(plan.wakeAtMs).toBeGreaterThan(0);
  for (let turn = 0; turn < 100 && plan.view.phase !== "READY"; turn++) {
    for (const action of plan.actions) cluster.run(action);
    plan = cluster.turn();
  }
  expect([plan.view.phase, plan.actions, plan.wakeAtMs]).toEqual(["READY", [], undefined]);
});

test("a job whose history was lost adopts what runs and goes on counting its generations", () => {
  const cluster = fakeCluster(makeSpec());
  cluster.settle();
  cluster.setState("demo-decode-1-g1", "exited");
  cluster.settle();
  cluster.state.memory = emptyMemory(cluster.state.nowMs);
  cluster.state.log = [];
  expect(cluster.settle().view.phase).toBe("READY");
  expect(cluster.state.log).toEqual(["probeEngine engine", "readKvIp prefill-0 g1"]);
  cluster.setState("demo-decode-1-g2", "exited");
  expect(cluster.settle().view.phase).toBe("READY");
  expect(cluster.state.observed.replicas.map(({ name }) => name)).toContain("demo-decode-1-g3");
});
