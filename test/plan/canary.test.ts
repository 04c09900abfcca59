import { describe, expect, test } from "vitest";
import type { ActionOf } from "../../src/domain/action.ts";
import { titleOf } from "../../src/domain/canary.ts";
import { completeMemory } from "../../src/domain/memory.ts";
import { rememberFailure } from "../../src/workflows/remember-failure.ts";
import { rememberSeen } from "../../src/workflows/remember.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

type Cluster = ReturnType<typeof fakeCluster>;
const single = makeSpec({ prefill: { replicas: 1 }, decode: { replicas: 1 } });

/** Goes on as `settle` does, with canaries that fail where `isDead` says so; answers with those that were sent. */
function prove(cluster: Cluster, isDead: (pair: string) => boolean = () => false) {
  const sent: string[] = [];
  for (let turns = 0; turns < 60; turns++) {
    const plan = cluster.turn();
    if (plan.failure || (plan.actions.length === 0 && plan.wakeAtMs === undefined)) break;
    if (plan.actions.length === 0) cluster.state.nowMs = plan.wakeAtMs ?? 0;
    for (const action of plan.actions) {
      if (action.kind === "sendCanary") sent.push(pairOf(action));
      if (action.kind !== "sendCanary" || !isDead(pairOf(action))) cluster.run(action);
      else {
        const failure = { code: "CanaryFailed", message: `${pairOf(action)} failed` } as const;
        const { memory, nowMs } = cluster.state;
        cluster.state.memory = rememberFailure(memory, action, failure, nowMs);
      }
    }
  }
  return { sent, plan: cluster.turn() };
}

const pairOf = (action: ActionOf<"sendCanary">): string =>
  `${titleOf(action)} with ${titleOf(action.partner)}`;

const noteOf = (cluster: Cluster, name: string): string | undefined =>
  cluster.turn().view.replicas.find((one) => one.name === name)?.note;

/** Brings everything to healthy, and no further. */
function untilHealthy(cluster: Cluster, keep: readonly string[] = []): void {
  for (let turns = 0; turns < 20; turns++)
    for (const action of cluster.turn().actions) {
      const isKept =
        action.kind !== "reservePlacementGroup" &&
        "replica" in action &&
        keep.includes(`${action.replica.role}-${action.replica.index}`);
      if (action.kind !== "sendCanary" && !isKept) cluster.run(action);
    }
}

describe("a healthy replica serves once a canary went through it:", () => {
  test("two pairs prove four replicas, and the proxy waits for them", () => {
    const cluster = fakeCluster(makeSpec());
    const { sent, plan } = prove(cluster);
    expect(sent).toEqual(["decode-0 g1 with prefill-0 g1", "decode-1 g1 with prefill-1 g1"]);
    expect(plan.view.phase).toBe("READY");
    const { log } = cluster.state;
    expect(log.indexOf("renderProxy proxy g1")).toBeGreaterThan(
      log.indexOf("sendCanary decode-1 g1"),
    );
  });

  test("until then it is STARTING, and says what it waits for", () => {
    const cluster = fakeCluster(single);
    untilHealthy(cluster, ["decode-0"]);
    expect(noteOf(cluster, "prefill-0")).toBe(
      "canary: waits for a decode replica that can be its partner",
    );
    untilHealthy(cluster);
    expect(cluster.turn().view).toMatchObject({
      phase: "DEPLOYING",
      reason: "prefill-0 STARTING, decode-0 STARTING",
    });
    expect(noteOf(cluster, "decode-0")).toBe("canary: a request goes through it and prefill-0");
  });

  test("one that boots says since when and until when, in the same words however long it takes", () => {
    const cluster = fakeCluster(single);
    cluster.state.nowMs = Date.UTC(2026, 0, 1, 9, 5);
    cluster.state.memory = { ...cluster.state.memory, deployStartedAtMs: cluster.state.nowMs };
    for (let turns = 0; turns < 4; turns++)
      for (const action of cluster.turn().actions)
        if (action.kind !== "waitHealthy") cluster.run(action);
    const note = "booting since 09:05:00 UTC; its timeout of 60 s ends at 09:06:00 UTC";
    expect(noteOf(cluster, "prefill-0")).toBe(note);
    cluster.state.nowMs += 30_000;
    expect(noteOf(cluster, "prefill-0")).toBe(note);
  });

  test("`canary: false` does without", () => {
    const cluster = fakeCluster(makeSpec({ canary: false }));
    expect(prove(cluster)).toMatchObject({ sent: [], plan: { view: { phase: "READY" } } });
  });

  test("a canary is called off when its replica ends, or is not wanted any more", () => {
    const cluster = fakeCluster(single);
    untilHealthy(cluster);
    const key = "sendCanary decode-0 g1";
    cluster.state.inFlight = [{ key, kind: "sendCanary", target: "decode-0" }];
    expect(cluster.turn().cancel).toEqual([]);
    cluster.state.memory = { ...cluster.state.memory, served: true };
    cluster.setState("demo-decode-0-g1", "exited");
    expect(cluster.turn().cancel).toEqual([key]);
    cluster.setState("demo-decode-0-g1", "healthy");
    cluster.state.desired = { ...cluster.state.desired, retired: { "decode-0": 1 } };
    expect(cluster.turn().cancel).toEqual([key]);
  });
});

describe("what serves is never taken out for the lack of a canary:", () => {
  test("what an earlier version had started", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const { proven: _, canaries: __, ...old } = cluster.state.memory;
    cluster.state.memory = completeMemory(old, 0);
    expect(cluster.turn()).toMatchObject({ actions: [], view: { phase: "READY" } });
  });

  test("what the proxy of an adopted job has among its members, for as long as it lives", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.memory = completeMemory({ engine: { notes: [] }, kvIp: "10.0.0.1" }, 0);
    const { actions, view } = cluster.turn();
    expect([actions, view.phase]).toEqual([[], "READY"]);
    cluster.state.memory = rememberSeen(cluster.state.memory, view);
    cluster.state.observed = { ...cluster.state.observed, proxies: [] };
    expect(cluster.turn().actions.map(({ kind }) => kind)).toEqual(["renderProxy"]);
  });
});

describe("when a canary fails,", () => {
  test("a first deployment fails with its words", () => {
    const { sent, plan } = prove(fakeCluster(single), () => true);
    expect(sent).toEqual(["decode-0 g1 with prefill-0 g1"]);
    const message = "decode-0 g1 with prefill-0 g1 failed";
    expect(plan.failure).toEqual({ code: "CanaryFailed", message });
  });

  test("another partner tells who is to blame", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.state.memory = { ...cluster.state.memory, served: true };
    const { sent, plan } = prove(cluster, (pair) => pair.includes("prefill-0 g1"));
    expect(sent.slice(0, 4)).toEqual([
      "decode-0 g1 with prefill-0 g1",
      "decode-1 g1 with prefill-1 g1",
      "prefill-0 g1 with decode-1 g1",
      "decode-0 g1 with prefill-1 g1",
    ]);
    expect(plan.view.phase).toBe("READY");
    const generations = plan.view.replicas.map(({ name, generation }) => `${name} g${generation}`);
    expect(generations).toEqual(["prefill-0 g2", "prefill-1 g1", "decode-0 g1", "decode-1 g1"]);
  });

  test("a proven partner stays, and the replica is replaced within its budget; then the job is DEGRADED and says why", () => {
    const cluster = fakeCluster(makeSpec({ prefill: { replicas: 1 }, decode: { replicas: 1 } }));
    cluster.settle();
    cluster.state.desired = { replicas: { prefill: 1, decode: 2 } };
    cluster.state.log.length = 0;
    const isDead = (pair: string): boolean => pair.startsWith("decode-1");
    for (let turns = 0; turns < 80; turns++) {
      const plan = cluster.turn();
      if (plan.view.phase === "DEGRADED" && plan.actions.length === 0) break;
      if (plan.actions.length === 0) cluster.state.nowMs = plan.wakeAtMs ?? cluster.state.nowMs + 1;
      for (const action of plan.actions)
        if (action.kind === "sendCanary" && isDead(pairOf(action)))
          cluster.state.memory = rememberFailure(
            cluster.state.memory,
            action,
            { code: "CanaryFailed", message: `${pairOf(action)} failed` },
            cluster.state.nowMs,
          );
        else cluster.run(action);
    }
    const { view } = cluster.turn();
    expect(view.phase).toBe("DEGRADED");
    expect(view.reason).toBe(
      "decode-1 was replaced 3 times within 600 s and is left down: decode-1 g4 with prefill-0 g1 failed",
    );
    expect(cluster.state.log.filter((key) => /prefill-0|decode-0|Membership/.test(key))).toEqual(
      [],
    );
    // What is remembered of a pair goes with its replicas.
    expect(cluster.state.memory.canaries).toEqual([]);
  });

  test("two that nobody knows are both replaced when there is nobody else", () => {
    const cluster = fakeCluster(single);
    cluster.state.memory = { ...cluster.state.memory, served: true };
    const { plan } = prove(cluster, (pair) => pair.includes("decode-0 g1"));
    const generations = plan.view.replicas.map(({ name, generation }) => `${name} g${generation}`);
    expect(generations).toEqual(["prefill-0 g2", "decode-0 g2"]);
    expect(plan.view.phase).toBe("READY");
  });
});
