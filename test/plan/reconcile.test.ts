import { describe, expect, test } from "vitest";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const external = makeSpec({
  scheduler: {
    port: 8021,
    membership: "restart",
    command: ["proxy", "$PREFILL_URL_1", "$DECODE_URL_1"],
  },
  prefill: { replicas: 1 },
  decode: { replicas: 1 },
});

const members = (cluster: ReturnType<typeof fakeCluster>): readonly string[] =>
  (cluster.state.observed.proxies[0]?.membership?.members ?? []).map(({ name }) => name);

describe("a first deployment", () => {
  test("asks for the version, reserves, starts prefill 0, reads the KV address, starts the rest, waits, renders and runs the proxy", () => {
    const cluster = fakeCluster(makeSpec());
    const plan = cluster.settle();
    expect(plan.view).toMatchObject({
      phase: "READY",
      reason: "2 prefill and 2 decode replicas serve",
    });
    expect(cluster.state.log).toMatchInlineSnapshot(`
      [
        "probeEngine engine",
        "reservePlacementGroup prefill-0 g1",
        "reservePlacementGroup prefill-1 g1",
        "reservePlacementGroup decode-0 g1",
        "reservePlacementGroup decode-1 g1",
        "startPrefill prefill-0 g1",
        "waitHealthy prefill-0 g1",
        "readKvIp prefill-0 g1",
        "startPrefill prefill-1 g1",
        "startDecode decode-0 g1",
        "startDecode decode-1 g1",
        "waitHealthy prefill-1 g1",
        "waitHealthy decode-0 g1",
        "waitHealthy decode-1 g1",
        "sendCanary decode-0 g1",
        "sendCanary decode-1 g1",
        "renderProxy proxy g1",
        "runProxy proxy g1",
      ]
    `);
  });

  test("fails when its timeout is over, however that was spent", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.turn().actions.forEach(cluster.run);
    cluster.turn().actions.forEach(cluster.run);
    expect(cluster.turn().wakeAtMs).toBe(65_000);
    cluster.state.nowMs = 64_999;
    expect(cluster.turn().failure).toBeUndefined();
    cluster.state.nowMs = 65_000;
    expect(cluster.turn().failure).toEqual({
      code: "DeployTimeout",
      message:
        "Job demo was not READY within its timeout of 60 s (prefill-0 STARTING, prefill-1 STARTING, decode-0 STARTING, decode-1 STARTING). Increase `timeout` in the config if it needs longer; else read the log of what is not READY (pdjob-client logs).",
    });
  });

  test("gives each wait no more than what is left of the timeout", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.state.nowMs = 40_000;
    cluster.turn().actions.forEach(cluster.run);
    cluster.turn().actions.forEach(cluster.run);
    cluster.turn().actions.forEach(cluster.run);
    cluster.state.observed = {
      ...cluster.state.observed,
      replicas: cluster.state.observed.replicas.map((one) => ({ ...one, startedAtMs: 40_000 })),
    };
    const waits = cluster.turn().actions.filter(({ kind }) => kind === "waitHealthy");
    expect(waits).toMatchObject([{ deadlineMs: 60_000 }]);
  });

  test("does nothing more once it is READY", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const plan = cluster.turn();
    expect(plan).toMatchObject({ actions: [], cancel: [] });
    expect(plan.wakeAtMs).toBeUndefined();
  });

  test("never starts a second action on a target that one in flight works on", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.turn().actions.forEach(cluster.run);
    cluster.state.inFlight = [
      {
        key: "reservePlacementGroup prefill-0 g1",
        kind: "reservePlacementGroup",
        target: "prefill-0",
      },
    ];
    const targets = cluster
      .turn()
      .actions.map((action) =>
        "replica" in action ? `${action.replica.role}-${action.replica.index}` : action.kind,
      );
    expect(targets).toEqual(["prefill-1", "decode-0", "decode-1"]);
  });

  test("fails with the engine's own last lines when an engine exits while it boots", () => {
    const cluster = fakeCluster(makeSpec());
    while (!cluster.state.observed.replicas.some(({ name }) => name === "demo-decode-0-g1"))
      cluster.turn().actions.forEach(cluster.run);
    const dead = cluster.state.observed.replicas.map((actor) =>
      actor.name === "demo-decode-0-g1"
        ? {
            ...actor,
            state: "exited" as const,
            exit: { code: 1, signal: null, atMs: 5 },
            logTail: "CUDA out of memory",
          }
        : actor,
    );
    cluster.state.observed = { ...cluster.state.observed, replicas: dead };
    expect(cluster.turn().failure).toEqual({
      code: "EngineExited",
      message:
        "The engine of decode-0 g1 exited with code 1. Its last lines:\nCUDA out of memory\nNext: pdjob-client logs demo decode-0 --generation 1 shows all of its output.",
    });
  });

  test("replaces a replica whose actor vanished, under a new generation, instead of failing", () => {
    const cluster = fakeCluster(makeSpec());
    while (!cluster.state.observed.replicas.some(({ name }) => name === "demo-decode-1-g1"))
      cluster.turn().actions.forEach(cluster.run);
    cluster.state.observed = {
      ...cluster.state.observed,
      replicas: cluster.state.observed.replicas.filter(({ name }) => name !== "demo-decode-1-g1"),
    };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(members(cluster)).toContain("demo-decode-1-g2");
  });
});

describe("scaling", () => {
  test("up starts the new replica and adds it to the running proxy", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.log.length = 0;
    cluster.state.desired = { replicas: { prefill: 2, decode: 3 } };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log).toEqual([
      "reservePlacementGroup decode-2 g1",
      "startDecode decode-2 g1",
      "waitHealthy decode-2 g1",
      "sendCanary decode-2 g1",
      "setMembership proxy g2",
    ]);
  });

  test("down leaves the proxy first, then drains, stops the engine and releases its group", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.observed = {
      ...cluster.state.observed,
      proxies: cluster.state.observed.proxies.map((proxy) => ({
        ...proxy,
        inFlight: { "demo-decode-1-g1": 3 },
      })),
    };
    cluster.state.log.length = 0;
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log).toEqual([
      "setMembership proxy g2",
      "drainReplica decode-1 g1",
      "stopReplica decode-1 g1",
      "removePlacementGroup decode-1 g1",
    ]);
    expect(members(cluster)).not.toContain("demo-decode-1-g1");
  });

  test("down and up again uses a new generation and spends no restart budget", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    cluster.settle();
    cluster.state.desired = { replicas: { prefill: 2, decode: 2 } };
    cluster.settle();
    expect(members(cluster)).toContain("demo-decode-1-g2");
    expect(cluster.state.memory.restarts).toEqual({});
  });

  test("cancels the wait for a replica that is no longer wanted", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.inFlight = [
      { key: "waitHealthy decode-2 g1", kind: "waitHealthy", target: "decode-2" },
    ];
    expect(cluster.turn().cancel).toEqual(["waitHealthy decode-2 g1"]);
  });

  test("cancels the drain of a replica that is wanted again, so that another one gets its whole time", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    cluster.state.inFlight = [
      { key: "drainReplica decode-1 g1", kind: "drainReplica", target: "decode-1" },
    ];
    expect(cluster.turn().cancel).toEqual(["drainReplica decode-1 g1"]);
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    expect(cluster.turn().cancel).toEqual([]);
  });
});

test("phases name what goes on: SCALING for a change that was asked for, HEALING for one that was not", () => {
  const cluster = fakeCluster(makeSpec());
  cluster.settle();
  const untilReady = (): readonly string[] => {
    const seen: string[] = [];
    for (let turns = 0; turns < 50 && seen.at(-1) !== "READY"; turns++) {
      const { view, actions } = cluster.turn();
      if (view.phase !== seen.at(-1)) seen.push(view.phase);
      actions.forEach(cluster.run);
    }
    return seen;
  };
  cluster.state.desired = { replicas: { prefill: 2, decode: 3 } };
  expect(untilReady()).toEqual(["SCALING", "READY"]);
  cluster.setState("demo-decode-2-g1", "exited");
  expect(untilReady()).toEqual(["HEALING", "READY"]);
  cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
  expect(untilReady()).toEqual(["SCALING", "READY"]);
});

describe("an external proxy", () => {
  test("is restarted under a new generation when its members change", () => {
    const cluster = fakeCluster(external);
    cluster.settle();
    cluster.state.log.length = 0;
    cluster.state.desired = { replicas: { prefill: 1, decode: 2 } };
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log.slice(-2)).toEqual(["renderProxy proxy g2", "runProxy proxy g2"]);
  });

  test("keeps the replicas of its running command until the new one runs", () => {
    const cluster = fakeCluster(
      makeSpec({
        scheduler: { port: 8021, membership: "restart", command: ["proxy", "$DECODE_URLS"] },
      }),
    );
    cluster.settle();
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    cluster.state.log = [];
    cluster.turn().actions.forEach(cluster.run);
    expect(cluster.state.log).toEqual(["renderProxy proxy g2"]);
    cluster.turn().actions.forEach(cluster.run);
    expect(cluster.state.log.slice(1)).toEqual(["runProxy proxy g2"]);
    cluster.settle();
    expect(cluster.state.log.slice(2)).toEqual([
      "stopReplica decode-1 g1",
      "removePlacementGroup decode-1 g1",
    ]);
  });

  test("is left alone while a wanted replica is down", () => {
    const cluster = fakeCluster(external);
    cluster.settle();
    cluster.setState("demo-decode-0-g1", "exited");
    expect(cluster.turn().actions.map(({ kind }) => kind)).toEqual(["stopReplica"]);
  });
});

describe("teardown", () => {
  test("empties the membership, drains, and stops proxy, engines and groups in that order", () => {
    const cluster = fakeCluster(makeSpec({ prefill: { replicas: 1 }, decode: { replicas: 1 } }));
    cluster.settle();
    cluster.state.observed = {
      ...cluster.state.observed,
      proxies: cluster.state.observed.proxies.map((proxy) => ({
        ...proxy,
        inFlight: { "demo-decode-0-g1": 1 },
      })),
    };
    cluster.state.log.length = 0;
    cluster.state.desired = { ...cluster.state.desired, stop: { drain: true } };
    // Whoever comes from now on is not to wait for members that never will.
    expect(cluster.turn().actions).toMatchObject([
      { kind: "setMembership", members: [], closing: true },
    ]);
    expect(cluster.settle().finished).toBe(true);
    expect(cluster.state.log).toEqual([
      "setMembership proxy g2",
      "drainProxy proxy",
      "stopProxy proxy g1",
      "stopReplica prefill-0 g1",
      "stopReplica decode-0 g1",
      "removePlacementGroup prefill-0 g1",
      "removePlacementGroup decode-0 g1",
      "sweep job",
    ]);
    expect(cluster.state.observed).toMatchObject({
      placementGroups: [],
      replicas: [],
      proxies: [],
    });
  });

  test("cancels what is in flight and does not finish before it ended", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.state.desired = { ...cluster.state.desired, stop: { drain: false } };
    cluster.state.inFlight = [
      { key: "waitHealthy decode-0 g1", kind: "waitHealthy", target: "decode-0" },
    ];
    expect(cluster.turn()).toMatchObject({ cancel: ["waitHealthy decode-0 g1"], actions: [] });
    cluster.state.inFlight = [];
    expect(cluster.settle().finished).toBe(true);
  });
});
