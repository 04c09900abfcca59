import { describe, expect, test } from "vitest";
import { actionKey } from "../../src/domain/action.ts";
import type { ObservedProxy } from "../../src/domain/observed.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

type Cluster = ReturnType<typeof fakeCluster>;

function serving(): Cluster {
  const cluster = fakeCluster(makeSpec({ restart: { restartsMax: 10, windowS: 600 } }));
  cluster.settle();
  cluster.state.log.length = 0;
  return cluster;
}

function change(cluster: Cluster, generation: number, facts: Partial<ObservedProxy>): void {
  const proxies = cluster.state.observed.proxies.map((proxy) =>
    proxy.generation === generation ? { ...proxy, ...facts } : proxy,
  );
  cluster.state.observed = { ...cluster.state.observed, proxies };
}

const killed = { state: "exited", exit: { code: null, signal: "SIGKILL", atMs: 0 } } as const;

/** What the next plan does, as keys. */
const next = (cluster: Cluster): readonly string[] => cluster.turn().actions.map(actionKey);

/** Performs what the next plan says, and answers with it. */
function step(cluster: Cluster): readonly string[] {
  const { actions } = cluster.turn();
  actions.forEach(cluster.run);
  return actions.map(actionKey);
}

const retire = (cluster: Cluster, generation: number): void => {
  const { desired } = cluster.state;
  cluster.state.desired = { ...desired, retired: { proxy: generation } };
};

describe("a built-in proxy that is to be replaced", () => {
  test("goes on until the next one serves with its members, then ends its clients, then goes", () => {
    const cluster = serving();
    retire(cluster, 1);
    cluster.settle();
    expect(cluster.state.log).toEqual([
      "renderProxy proxy g2",
      "runProxy proxy g2",
      "drainProxy proxy-g1",
      "stopProxy proxy-g1",
    ]);
    expect(cluster.state.observed.proxies.map(({ generation }) => generation)).toEqual([2]);
  });

  test("is not stopped while the next one starts, or has not its members yet", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    change(cluster, 2, { state: "starting" });
    expect(next(cluster)).toEqual(["runProxy proxy g2"]);
    change(cluster, 2, { state: "healthy", membership: { generation: 9, members: [] } });
    expect(next(cluster)).toEqual(["setMembership proxy g10"]);
  });

  test("goes on when the next one does not come up, which is tried again within the budget", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    change(cluster, 2, { ...killed, logTail: "boom" });
    cluster.state.memory = {
      ...cluster.state.memory,
      failures: { proxy: { code: "ProxyExited", message: "boom", generation: 2, atMs: 0 } },
    };
    expect(step(cluster)).toEqual(["stopProxy proxy g2"]);
    expect(cluster.turn().view.proxy).toMatchObject({
      phase: "STARTING",
      generation: 1,
      note: "generation 1 goes on: boom",
    });
    cluster.settle();
    expect(cluster.state.observed.proxies.map(({ generation }) => generation)).toEqual([3]);
    expect(cluster.state.memory.restarts["proxy"]).toHaveLength(1);
  });

  test("is told of members that come and go while the next one may not be tried again", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    change(cluster, 2, killed);
    const boom = { code: "ProxyExited", message: "boom", generation: 2, atMs: 0 } as const;
    const recent = Array.from({ length: 10 }, () => cluster.state.nowMs);
    const { memory } = cluster.state;
    cluster.state.memory = { ...memory, failures: { proxy: boom }, restarts: { proxy: recent } };
    step(cluster);
    cluster.setState("demo-decode-1-g1", "exited");
    expect(next(cluster)).toContainEqual(expect.stringMatching(/^setMembership/));
    step(cluster);
    const { members = [] } = cluster.state.observed.proxies[0]?.membership ?? {};
    expect(members.map(({ name }) => name)).not.toContain("demo-decode-1-g1");
  });

  test("that is not healthy any more is stopped without waiting for its clients", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    change(cluster, 1, killed);
    expect(next(cluster)).toEqual(["stopProxy proxy-g1"]);
  });

  test("keeps the job from READY until it is gone", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    expect(cluster.turn().view).toMatchObject({
      phase: "SCALING",
      reason: "proxy g1 DRAINING",
    });
  });

  test("and has streams on a replica that leaves forgets it, and is waited for", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    change(cluster, 1, { inFlight: { "demo-decode-1-g1": 2 } });
    cluster.state.desired = { ...cluster.state.desired, replicas: { prefill: 2, decode: 1 } };
    expect(step(cluster)).toEqual(["setMembership proxy g3"]);
    expect(step(cluster)).toEqual(["setMembership proxy g4"]);
    const known = cluster.state.observed.proxies.map(({ membership }) =>
      membership?.members.map(({ name }) => name),
    );
    expect(known[0]).not.toContain("demo-decode-1-g1");
    expect(known[1]).not.toContain("demo-decode-1-g1");
    expect(next(cluster)).toEqual(["drainReplica decode-1 g1", "drainProxy proxy-g1"]);
    const status = cluster.turn().view.replicas.find(({ name }) => name === "decode-1");
    expect(status?.inFlight).toBe(2);
  });

  test("is drained with the newer one when the job stops", () => {
    const cluster = serving();
    retire(cluster, 1);
    step(cluster);
    step(cluster);
    change(cluster, 1, { inFlight: { "demo-decode-1-g1": 2 } });
    cluster.state.desired = { ...cluster.state.desired, stop: { drain: true } };
    expect([step(cluster), step(cluster), step(cluster), step(cluster)]).toEqual([
      ["setMembership proxy g3"],
      ["setMembership proxy g4"],
      ["drainProxy proxy"],
      ["stopProxy proxy g2", "stopProxy proxy-g1"],
    ]);
    expect(cluster.state.observed.proxies).toEqual([]);
  });
});

describe("a built-in proxy whose process was killed", () => {
  test("is started anew by its own actor, with the members of now, as often as the budget allows", () => {
    const cluster = serving();
    cluster.setState("demo-decode-1-g1", "unhealthy");
    change(cluster, 1, killed);
    const [first] = cluster.turn().actions.filter(({ kind }) => kind === "runProxy");
    expect(first).toMatchObject({
      generation: 1,
      run: 2,
      membershipGeneration: 2,
      reason: "The proxy was ended by SIGKILL.",
    });
    const members = first?.kind === "runProxy" ? first.command.members : [];
    expect(members.map(({ name }) => name)).not.toContain("demo-decode-1-g1");
    cluster.settle();
    expect(cluster.state.memory.restarts["proxy"]).toHaveLength(1);
    expect(cluster.state.observed.proxies[0]).toMatchObject({ generation: 1, run: 2 });
  });

  test("keeps its clients waiting for a short back-off, and refuses them through a long one", () => {
    const cluster = serving();
    const { nowMs } = cluster.state;
    change(cluster, 1, killed);
    const after = (restarts: number) => {
      const proxy = Array.from({ length: restarts }, () => nowMs);
      cluster.state.memory = { ...cluster.state.memory, restarts: { proxy } };
      return cluster.turn();
    };
    expect(after(1)).toMatchObject({ actions: [], wakeAtMs: nowMs + 1_000 });
    expect(after(3)).toMatchObject({ actions: [], wakeAtMs: nowMs + 4_000 });
    expect(after(4).actions.map(actionKey)).toEqual(["stopProxy proxy g1"]);
  });

  test("and could not be started anew makes way for a new generation", () => {
    const cluster = serving();
    change(cluster, 1, killed);
    cluster.state.memory = {
      ...cluster.state.memory,
      failures: { proxy: { code: "ProxyExited", message: "boom", generation: 1, atMs: 0 } },
    };
    cluster.settle();
    expect(cluster.state.log).toEqual([
      "stopProxy proxy g1",
      "renderProxy proxy g2",
      "runProxy proxy g2",
    ]);
  });

  test("is replaced when a new generation was asked for", () => {
    const cluster = serving();
    change(cluster, 1, killed);
    retire(cluster, 1);
    cluster.settle();
    expect(cluster.state.log).toEqual([
      "renderProxy proxy g2",
      "runProxy proxy g2",
      "stopProxy proxy-g1",
    ]);
  });
});

describe("a built-in proxy that hangs", () => {
  test("is stopped once the next one has its socket and serves", () => {
    const cluster = serving();
    change(cluster, 1, { state: "unhealthy" });
    cluster.settle();
    expect(cluster.state.log).toEqual([
      "renderProxy proxy g2",
      "runProxy proxy g2",
      "stopProxy proxy-g1",
    ]);
  });

  test("goes on when it answers again before the next one could be started", () => {
    const cluster = serving();
    change(cluster, 1, { state: "unhealthy" });
    step(cluster);
    cluster.state.memory = {
      ...cluster.state.memory,
      failures: { proxy: { code: "ProxyNotStarted", message: "no", generation: 2, atMs: 0 } },
    };
    change(cluster, 1, { state: "healthy" });
    expect(cluster.turn()).toMatchObject({ actions: [], view: { phase: "READY" } });
  });
});

test("a built-in proxy whose actor is silent gives its port up: nobody can hand it on", () => {
  const cluster = serving();
  change(cluster, 1, { state: "lost" });
  cluster.settle(60_000);
  expect(cluster.state.log).toEqual([
    "stopProxy proxy g1",
    "renderProxy proxy g2",
    "runProxy proxy g2",
  ]);
});

test("while a proxy starts with its members no replica that leaves is stopped", () => {
  const cluster = serving();
  retire(cluster, 1);
  step(cluster);
  const [run] = cluster.turn().actions;
  if (!run) throw new Error("nothing to do");
  cluster.state.inFlight = [{ key: actionKey(run), kind: run.kind, target: "proxy" }];
  change(cluster, 1, { membership: { generation: 1, members: [] } });
  cluster.state.desired = { ...cluster.state.desired, replicas: { prefill: 2, decode: 1 } };
  expect(next(cluster)).toEqual([]);
});
