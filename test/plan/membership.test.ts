import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drainQuietS } from "../../src/domain/membership.ts";
import type { CallSpec, HttpMembership, SchedulerSpec } from "../../src/domain/spec.ts";
import { rememberFailure } from "../../src/workflows/remember-failure.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const call: CallSpec = { method: "POST", url: "/x", headers: {}, accept: [] };
const both = { prefill: call, decode: call };

const spec = (scheduler: Partial<SchedulerSpec>) =>
  makeSpec({ scheduler: { port: 8021, membership: "http", command: ["proxy"], ...scheduler } });

const byHttp = (http: HttpMembership, ...command: string[]) =>
  spec({ membership: "http", http, command: ["proxy", ...command] });

const adapters = {
  http: byHttp({ add: both, remove: both }),
  "http with a command line that names them all": byHttp(
    { add: both, remove: both },
    "$PREFILL_URLS",
    "$DECODE_URLS",
  ),
  "http without add": byHttp({ remove: both }, "$PREFILL_URLS", "$DECODE_URLS"),
  "http without remove": byHttp({ add: both }, "$PREFILL_URLS", "$DECODE_URLS"),
  file: spec({ membership: "file", file: { path: "members.json" } }),
  restart: spec({ membership: "restart", command: ["proxy", "$PREFILL_URLS", "$DECODE_URLS"] }),
  none: spec({ membership: "none" }),
};

type Cluster = ReturnType<typeof fakeCluster>;

const serving = (of: ReturnType<typeof spec>): Cluster => {
  const cluster = fakeCluster(of);
  cluster.settle();
  cluster.state.log.length = 0;
  return cluster;
};

const scaled = (of: ReturnType<typeof spec>, prefill: number, decode: number): Cluster => {
  const cluster = serving(of);
  cluster.state.desired = { replicas: { prefill, decode } };
  expect(cluster.settle().view.phase).toBe("READY");
  return cluster;
};

const members = ({ state }: Cluster): readonly string[] =>
  (state.observed.proxies[0]?.membership?.members ?? []).map(({ name }) => name).toSorted();

const about = (cluster: Cluster, ...words: string[]): readonly string[] =>
  cluster.state.log.filter((key) => words.some((word) => key.includes(word)));

describe("after its start a proxy is told of", () => {
  test.each([
    ["everybody, when its command line names nobody", adapters.http, ["setMembership proxy g1"]],
    [
      "nobody, when its command line names them all",
      adapters["http with a command line that names them all"],
      [],
    ],
    ["nobody, when the command line is the only way", adapters["http without add"], []],
    ["nobody, when its file names them all", adapters.file, []],
    [
      "the others, when its command line names one of each",
      byHttp({ add: both, remove: both }, "$PREFILL_URL_1", "${DECODE_URL_1}"),
      ["setMembership proxy g1"],
    ],
  ])("%s", (_, of, told) => {
    const cluster = fakeCluster(of);
    expect(cluster.settle().view.phase).toBe("READY");
    expect(about(cluster, "Membership")).toEqual(told);
    expect(members(cluster)).toHaveLength(4);
  });
});

describe("scaling up", () => {
  test.each([
    ["http", adapters.http, ["setMembership proxy g2"]],
    ["http without remove", adapters["http without remove"], ["setMembership proxy g1"]],
    ["file", adapters.file, ["setMembership proxy g1"]],
    [
      "http without add",
      adapters["http without add"],
      ["renderProxy proxy g2", "runProxy proxy g2"],
    ],
    ["none", adapters.none, []],
  ])("by %s", (_, of, steps) => {
    const cluster = scaled(of, 2, 3);
    expect(about(cluster, "proxy")).toEqual(steps);
  });
});

test("a proxy that is to be restarted is not READY before the new one runs", () => {
  const cluster = serving(adapters.restart);
  cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
  cluster.turn().actions.forEach(cluster.run);
  expect(cluster.state.log).toEqual(["renderProxy proxy g2"]);
  expect(cluster.turn().view.phase).toBe("SCALING");
});

describe("scaling down leaves the proxy first, then waits for the engine to be quiet, then stops it:", () => {
  const gone = ["stopReplica decode-1 g1", "removePlacementGroup decode-1 g1"];
  test.each([
    ["http", adapters.http, ["setMembership proxy g2", "drainReplica decode-1 g1", ...gone]],
    [
      "http without add",
      adapters["http without add"],
      ["setMembership proxy g1", "drainReplica decode-1 g1", ...gone],
    ],
    ["file", adapters.file, ["setMembership proxy g1", "drainReplica decode-1 g1", ...gone]],
    ["none", adapters.none, ["drainReplica decode-1 g1", ...gone]],
    [
      "http without remove, by a restart",
      adapters["http without remove"],
      ["renderProxy proxy g2", "runProxy proxy g2", "drainReplica decode-1 g1", ...gone],
    ],
    // Nothing is in flight any more once the proxy was restarted.
    ["restart", adapters.restart, ["renderProxy proxy g2", "runProxy proxy g2", ...gone]],
  ])("%s", (_, of, steps) => {
    const cluster = scaled(of, 2, 1);
    expect(about(cluster, "proxy", "decode-1")).toEqual(steps);
  });

  test("the wait is for the engine's own count, and has the role's deadline", () => {
    const cluster = serving(adapters.none);
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    cluster.state.nowMs = 5_000;
    expect(cluster.turn().actions).toMatchObject([
      { kind: "drainReplica", quietS: drainQuietS, deadlineMs: 25_000 },
    ]);
    const patient = serving(makeSpec({ ...adapters.none, drainQuietS: 60 }));
    patient.state.desired = { replicas: { prefill: 2, decode: 1 } };
    expect(patient.turn().actions).toMatchObject([{ kind: "drainReplica", quietS: 60 }]);
  });
});

describe("when the last replica of a role dies", () => {
  const only = (of: ReturnType<typeof spec>) =>
    makeSpec({ scheduler: of.scheduler, prefill: { replicas: 1 }, decode: { replicas: 1 } });

  test("it stays a member until its successor is there: proxies fail on an empty list", () => {
    const cluster = serving(only(adapters.http));
    cluster.setState("demo-decode-0-g1", "exited");
    expect(cluster.turn().actions.map(({ kind }) => kind)).toEqual(["stopReplica"]);
    cluster.settle();
    expect(about(cluster, "Membership")).toEqual(["setMembership proxy g2"]);
    expect(members(cluster)).toEqual(["demo-decode-0-g2", "demo-prefill-0-g1"]);
  });

  test("one of several leaves at once", () => {
    const cluster = serving(adapters.http);
    cluster.setState("demo-decode-0-g1", "exited");
    expect(
      cluster
        .turn()
        .actions.map(({ kind }) => kind)
        .toSorted(),
    ).toEqual(["setMembership", "stopReplica"]);
  });
});

describe.each([
  ["restart", adapters.restart],
  ["http without remove", adapters["http without remove"]],
])("a proxy that must be restarted to forget a replica, by %s", (_, of) => {
  test("does not wait for a replica that waits for what the leaving one holds", () => {
    const cluster = serving(of);
    cluster.state.desired = { replicas: { prefill: 3, decode: 1 } };
    const isWaiting = (kind: string): boolean => kind === "reservePlacementGroup";
    for (let turns = 0; turns < 20; turns++)
      cluster
        .turn()
        .actions.filter(({ kind }) => !isWaiting(kind))
        .forEach(cluster.run);
    expect(cluster.state.log).toContain("removePlacementGroup decode-1 g1");
    expect(cluster.settle().view.phase).toBe("READY");
  });

  test("does not wait for a replica that was given up", () => {
    const cluster = serving(of);
    for (let generation = 1; generation <= 4; generation++) {
      cluster.setState(`demo-decode-1-g${generation}`, "exited");
      cluster.settle(60_000);
    }
    expect(cluster.turn().view.phase).toBe("DEGRADED");
    const { proxyCommand } = cluster.state.memory;
    expect(proxyCommand?.command.members.map(({ name }) => name)).toEqual([
      "demo-prefill-0-g1",
      "demo-prefill-1-g1",
      "demo-decode-0-g1",
    ]);
    expect(cluster.state.observed.proxies[0]?.generation).toBe(proxyCommand?.generation);
  });
});

describe("a replica that is restarted on request", () => {
  test.each(Object.entries(adapters))(
    "by %s has a successor, even as the only one of its role",
    (_, of) => {
      const cluster = serving(
        makeSpec({ scheduler: of.scheduler, prefill: { replicas: 1 }, decode: { replicas: 1 } }),
      );
      cluster.state.desired = { ...cluster.state.desired, retired: { "decode-0": 1 } };
      expect(cluster.settle().view.phase).toBe("READY");
      expect(cluster.state.observed.replicas.map(({ name }) => name).toSorted()).toEqual([
        "demo-decode-0-g2",
        "demo-prefill-0-g1",
      ]);
    },
  );
});

describe("a proxy that is replaced", () => {
  test.each(Object.entries(adapters))("by %s knows everybody again", (_, of) => {
    const cluster = serving(of);
    cluster.state.desired = { replicas: { prefill: 2, decode: 3 } };
    cluster.settle();
    cluster.state.observed = {
      ...cluster.state.observed,
      proxies: cluster.state.observed.proxies.map((proxy) => ({
        ...proxy,
        state: "exited" as const,
      })),
    };
    expect(cluster.settle().view.phase).toBe("READY");
    if (of.scheduler.membership === "http" || of.scheduler.membership === "file")
      expect(members(cluster)).toHaveLength(5);
  });
});

describe("a proxy that refuses its members", () => {
  const message =
    "demo-proxy-g1 was not told of all its members: POST http://10.0.0.9:8021/x for demo-decode-2-g1 was answered 500: no.";

  /** Performs the next `setMembership` as one that fails. */
  function refuse({ state, turn }: Cluster): void {
    const action = turn().actions.find(({ kind }) => kind === "setMembership");
    if (!action) throw new Error(`nothing is told: ${JSON.stringify(turn())}`);
    state.memory = rememberFailure(
      state.memory,
      action,
      { code: "MembershipRefused", message },
      state.nowMs,
    );
  }

  function refused(): Cluster {
    const cluster = serving(adapters.http);
    cluster.state.desired = { replicas: { prefill: 2, decode: 3 } };
    for (let turns = 0; turns < 10; turns++) {
      const { actions } = cluster.turn();
      if (actions.some(({ kind }) => kind === "setMembership")) break;
      actions.forEach(cluster.run);
    }
    refuse(cluster);
    return cluster;
  }

  test("serves on, and status names the call and the answer", () => {
    const cluster = refused();
    const { actions, view, wakeAtMs } = cluster.turn();
    expect(actions).toEqual([]);
    expect(view).toMatchObject({
      phase: "SCALING",
      reason: `${message} It was tried 1 times and is tried again.`,
      proxy: { phase: "READY", note: expect.stringContaining("was answered 500") },
    });
    expect(wakeAtMs).toBe(cluster.state.nowMs + 1_000);
  });

  test("is told again after 1, 2, 4 … at most 30 s, and the job says DEGRADED after three times", () => {
    const cluster = refused();
    const waits: number[] = [];
    for (let times = 0; times < 7; times++) {
      const { wakeAtMs = 0 } = cluster.turn();
      waits.push((wakeAtMs - cluster.state.nowMs) / 1_000);
      cluster.state.nowMs = wakeAtMs;
      refuse(cluster);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
    expect(cluster.turn().view).toMatchObject({
      phase: "DEGRADED",
      reason: `${message} It was tried 8 times and is tried again.`,
    });
  });

  test("is forgiven when it takes them, and when nothing is left to tell", () => {
    const taken = refused();
    expect(taken.settle().view.phase).toBe("READY");
    expect(taken.state.memory.untold).toBeUndefined();
    const dropped = refused();
    dropped.state.desired = { replicas: { prefill: 2, decode: 2 } };
    expect(dropped.settle().view).toMatchObject({ phase: "READY", proxy: { phase: "READY" } });
    expect(dropped.turn().view.proxy.note).toBeUndefined();
  });

  test("is named when a first deployment runs out of time", () => {
    const cluster = fakeCluster(adapters.http);
    for (let turns = 0; turns < 20; turns++) {
      const { actions } = cluster.turn();
      if (actions.some(({ kind }) => kind === "setMembership")) break;
      actions.forEach(cluster.run);
    }
    refuse(cluster);
    cluster.state.nowMs = 120_000;
    expect(cluster.turn().failure?.message).toContain(
      `was not READY within its timeout of 60 s (${message}`,
    );
  });
});

test("whatever happens to a job with any adapter, the proxy that is told live ends up knowing exactly the replicas", () => {
  const event = fc.record({
    prefill: fc.integer({ min: 1, max: 3 }),
    decode: fc.integer({ min: 1, max: 3 }),
    dies: fc.option(fc.nat(5)),
    proxyDies: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(adapters)),
      fc.array(event, { maxLength: 6 }),
      (of, story) => {
        const patient = makeSpec({
          scheduler: of.scheduler,
          restart: { restartsMax: 1_000, windowS: 600 },
        });
        const cluster = serving(patient);
        for (const { prefill, decode, dies, proxyDies } of story) {
          const { state } = cluster;
          const victim = dies === null ? undefined : state.observed.replicas[dies];
          if (victim) cluster.setState(victim.name, "exited");
          if (proxyDies)
            state.observed = {
              ...state.observed,
              proxies: state.observed.proxies.map((one) => ({ ...one, state: "exited" as const })),
            };
          state.desired = { replicas: { prefill, decode } };
          expect(cluster.settle().view.phase).toBe("READY");
          if (state.observed.proxies[0]?.membership)
            expect(members(cluster)).toEqual(
              state.observed.replicas.map(({ name }) => name).toSorted(),
            );
        }
      },
    ),
    { numRuns: 150 },
  );
});
