import { expect, test } from "vitest";
import type { ErrorCode } from "../../src/domain/errors.ts";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { Member, Observed, ObservedReplica } from "../../src/domain/observed.ts";
import { mayPair } from "../../src/domain/revision.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const countsOf = ({ roles: of }: JobSpec) => ({
  prefill: of.prefill.replicas,
  decode: of.decode.replicas,
});

/** The real policy on a cluster in memory, to its rest after a change. */
function afterChange(change: (job: ReturnType<typeof fakeCluster>) => void, first = revised("a")) {
  const job = fakeCluster(first);
  job.settle();
  const begun = job.state.log.length;
  change(job);
  job.settle();
  return { state: job.state, log: job.state.log.slice(begun) };
}

const revised = (revision: string, more: Parameters<typeof makeSpec>[0] = {}): JobSpec =>
  makeSpec({
    prefill: { revision, kvRevision: revision },
    decode: { revision, kvRevision: revision },
    ...more,
  });

const wish = (next: JobSpec, { state }: ReturnType<typeof fakeCluster>): void => {
  state.spec = next;
  const rollout = { revision: 2, previous: 1, since: state.memory.generations };
  const pairings = ["a", "b"].map((kv, at) => ({ number: at + 1, prefill: kv, decode: kv }));
  state.desired = { replicas: countsOf(next), rollout, pairings };
};

test("each replica leaves the proxy, ends its requests and stops before its successor starts", () => {
  const { log, state } = afterChange((job) => wish(revised("b"), job));
  const of1 = log.filter((key) => key.includes("decode-1") || key.startsWith("setMembership"));
  expect(of1.slice(0, 6)).toEqual([
    "setMembership proxy g2",
    "stopReplica decode-1 g1",
    "removePlacementGroup decode-1 g1",
    "reservePlacementGroup decode-1 g2",
    "startDecode decode-1 g2",
    "waitHealthy decode-1 g2",
  ]);
  expect(state.observed.replicas.map(({ revision }) => revision)).toEqual(["b", "b", "b", "b"]);
  expect(state.memory.settledRevision).toBe(2);
});

test.each([0, 1])(
  "what an update replaces costs no restart of a budget of %i, and is no failure",
  (restartsMax) => {
    const budget = { restart: { restartsMax, windowS: 600 } };
    const { log, state } = afterChange(
      (job) => wish(revised("b", budget), job),
      revised("a", budget),
    );
    expect(state.observed.replicas.map(({ revision }) => revision)).toEqual(["b", "b", "b", "b"]);
    expect(state.memory).toMatchObject({ restarts: {}, failures: {}, stopped: {} });
    expect(log.filter((key) => key.startsWith("start"))).toHaveLength(4);
  },
);

test("a replica that is wanted again while it stops comes back at once, as a new generation", () => {
  const strict = makeSpec({ restart: { restartsMax: 0, windowS: 600 } });
  const { log, state } = afterChange((job) => {
    const { desired } = job.state;
    job.state.desired = { ...desired, replicas: { prefill: 2, decode: 1 } };
    for (let turn = 0; turn < 10 && job.state.observed.replicas.length === 4; turn++)
      for (const action of job.turn().actions) job.run(action);
    job.state.desired = desired;
  }, strict);
  expect(log.filter((key) => key.includes("decode-1"))).toEqual([
    "stopReplica decode-1 g1",
    "removePlacementGroup decode-1 g1",
    "reservePlacementGroup decode-1 g2",
    "startDecode decode-1 g2",
    "waitHealthy decode-1 g2",
    "sendCanary decode-1 g2",
  ]);
  expect(state.memory.restarts).toEqual({});
});

test("a proxy that pairs anybody with anybody is told of one kind of engines alone", () => {
  const scheduler = {
    port: 1,
    command: ["proxy"],
    membership: "file",
    file: { path: "m" },
  } as const;
  const job = fakeCluster(revised("a", { scheduler }));
  job.settle();
  wish(revised("b", { scheduler }), job);
  const told = new Set<string>();
  for (let turn = 0; turn < 60; turn++) {
    for (const action of job.turn().actions) {
      if (action.kind === "setMembership")
        told.add(kindsOf(action.members, job.state.observed.replicas));
      job.run(action);
    }
  }
  expect([...told]).toEqual(["a", "b"]);
});

const kindsOf = (members: readonly Member[], replicas: readonly ObservedReplica[]): string =>
  [
    ...new Set(
      members.map(({ name: own }) => replicas.find((one) => one.name === own)?.revision ?? "?"),
    ),
  ].join();

type Wish = NonNullable<ReturnType<typeof fakeCluster>["state"]["desired"]["rollout"]>;

/** What the plan says of going back after generations of decode-1, of which 1 was there before, have failed by themselves. */
function afterFailures(
  failed: readonly number[],
  {
    code = "EngineExited",
    rollout = {},
    more = {},
    restarts = 0,
  }: {
    readonly code?: ErrorCode;
    readonly rollout?: Partial<Wish>;
    readonly more?: Partial<JobSpec>;
    readonly restarts?: number;
  },
) {
  const job = fakeCluster(revised("a", more));
  job.settle();
  wish(revised("b", more), job);
  const { memory, desired, nowMs } = job.state;
  const begun = desired.rollout ?? { revision: 2, since: {} };
  job.state.desired = { ...desired, rollout: { ...begun, ...rollout } };
  const failure = { code, message: "gone", generation: 9, atMs: nowMs, failed };
  job.state.memory = {
    ...memory,
    failures: { "decode-1": failure },
    restarts: { "decode-1": Array.from({ length: restarts }, () => nowMs) },
  };
  return job.turn().rollback;
}

const decodeFailed = "decode-1 failed with revision 2: gone";

test.each([
  ["once", [2], {}, undefined],
  ["twice", [2, 3], {}, decodeFailed],
  ["twice, the last time by the cluster's fault", [2, 3], { code: "ClusterChanged" }, decodeFailed],
  ["by the cluster's fault alone", [], { code: "ClusterChanged" }, undefined],
  ["once, and once as it was before", [1, 2], {}, undefined],
  [
    "twice, in a role that is not replaced",
    [2, 3],
    { rollout: { rolling: ["prefill"] } },
    undefined,
  ],
  ["twice, and the update is paused", [2, 3], { rollout: { paused: true } }, undefined],
  ["twice, after the change had served whole", [2, 3], { rollout: { revision: 1 } }, undefined],
  ["once, with no restart left", [2], { restarts: 3 }, decodeFailed],
  [
    "once of five, with max_restarts 0",
    [2],
    {
      more: {
        restart: { restartsMax: 0, windowS: 9 },
        rollout: { surge: 1, unavailable: 1, attempts: 5 },
      },
    },
    decodeFailed,
  ],
] as const)("a replica failed %s: does the job go back?", (_how, failed, how, expected) => {
  expect(afterFailures(failed, how)).toBe(expected);
});

test("what was started before revisions were told is replaced where a change replaces its role, and only there", () => {
  const unlabelled = makeSpec();
  const next = makeSpec({
    prefill: { revision: "p", kvRevision: "p" },
    decode: { revision: "b", kvRevision: "b" },
  });
  const job = fakeCluster(unlabelled);
  job.settle();
  job.state.spec = next;
  const since = job.state.memory.generations;
  const rollout = { revision: 2, previous: 1, since, rolling: ["decode"] } as const;
  job.state.desired = { ...job.state.desired, rollout };
  job.settle();
  expect(
    job.state.observed.replicas.map(({ name, revision }) => `${name} ${revision}`).toSorted(),
  ).toEqual([
    "demo-decode-0-g2 b",
    "demo-decode-1-g2 b",
    "demo-prefill-0-g1 undefined",
    "demo-prefill-1-g1 undefined",
  ]);
});

test("a vLLM that cannot run the new config is asked for once a minute, and what is down is healed meanwhile", () => {
  const job = fakeCluster(revised("a"));
  job.settle();
  wish(revised("b"), job);
  const { engine: _, ...memory } = job.state.memory;
  const refused = { code: "SpecInvalid", message: "needs vLLM 1.0", generation: 0 } as const;
  const asked = (): boolean => job.turn().actions.some(({ kind }) => kind === "probeEngine");
  const { rollout } = job.state.desired;
  // Nothing to go back to.
  if (rollout)
    job.state.desired = { ...job.state.desired, rollout: { revision: 2, since: rollout.since } };
  const { nowMs } = job.state;
  job.state.memory = { ...memory, failures: { engine: { ...refused, atMs: nowMs } } };
  job.turn().actions.forEach(job.run);
  expect(job.turn()).toMatchObject({
    actions: [],
    wakeAtMs: nowMs + 60_000,
    view: { phase: "UPDATING", reason: "the update waits for another vLLM: needs vLLM 1.0" },
  });
  job.setState("demo-decode-1-g1", "exited");
  job.settle(50_000);
  expect(job.state.observed.replicas.map(({ name }) => name)).toContain("demo-decode-1-g2");
  expect(asked()).toBe(false);
  job.state.nowMs = nowMs + 60_000;
  expect(asked()).toBe(true);
});

/** Another workflow of the same name goes on with what it finds, by another config. */
function adopted(first: JobSpec, next: JobSpec) {
  const job = fakeCluster(first);
  job.settle();
  job.state.spec = next;
  job.state.memory = { ...emptyMemory(job.state.nowMs), engine: { notes: [] } };
  job.state.desired = { replicas: countsOf(next) };
  const begun = job.state.log.length;
  const phases = new Set<string>();
  /** The kinds of engines that the proxy might pair with each other, at any time. */
  const pairs = new Set<string>();
  for (let turn = 0; turn < 60; turn++) {
    const { actions, view } = job.turn();
    phases.add(view.phase);
    for (const action of actions) job.run(action);
    for (const pair of pairsOf(job.state.observed)) pairs.add(pair);
  }
  return { state: job.state, log: job.state.log.slice(begun), phases: [...phases], pairs };
}

const pairsOf = ({ replicas, proxies }: Observed): readonly string[] => {
  const members = proxies[0]?.membership?.members ?? [];
  const kindOf = ({ name: own }: Member) => replicas.find((one) => one.name === own)?.kvRevision;
  return members.flatMap((one) =>
    one.role === "decode"
      ? []
      : members
          .filter((other) => other.role === "decode" && mayPair(one, other))
          .map((other) => `${kindOf(one)}-${kindOf(other)}`),
  );
};

test("what a new workflow adopts serves first, and is brought to its config afterwards, each as a new generation that was proven", () => {
  const { state, log, phases, pairs } = adopted(revised("a"), revised("b"));
  expect(phases.slice(0, 3)).toEqual(["DEPLOYING", "READY", "UPDATING"]);
  expect(state.plan?.view.phase).toBe("READY");
  expect(state.observed.replicas.map(({ revision }) => revision)).toEqual(["b", "b", "b", "b"]);
  expect(new Set(log.filter((key) => /^(start|run)/.test(key))).size).toBe(4);
  expect(log.filter((key) => key.endsWith(" g1") && key.startsWith("start"))).toEqual([]);
  for (const name of ["prefill-0", "prefill-1", "decode-0", "decode-1"])
    expect(state.memory.proven[name]).toBe(2);
  expect([...pairs].filter((pair) => !["a-a", "b-b"].includes(pair))).toEqual([]);
  expect(state.memory.restarts).toEqual({});
});

test("a new workflow that changes one role alone pairs its engines with the partners that stay", () => {
  const next = revised("a", { decode: { revision: "b", kvRevision: "b" } });
  const { pairs, log } = adopted(revised("a"), next);
  expect([...pairs].toSorted()).toEqual(["a-a", "a-b"]);
  expect(log.filter((key) => key.startsWith("startPrefill"))).toEqual([]);
});

test.each([
  ["builtin", { port: 1, command: ["proxy"], membership: "restart" }],
  ["external", { port: 1, membership: "builtin" }],
] as const)("the %s proxy is stopped before one of the other kind starts", (kind, next) => {
  const first =
    kind === "builtin"
      ? undefined
      : ({ port: 1, command: ["proxy"], membership: "restart" } as const);
  const { log } = afterChange(
    (job) => {
      wish(revised("a", { scheduler: next }), job);
      job.state.desired = { ...job.state.desired, retired: { proxy: 1 } };
    },
    revised("a", first ? { scheduler: first } : {}),
  );
  expect(log.filter((key) => /stopProxy|runProxy/.test(key))).toEqual([
    "stopProxy proxy g1",
    "runProxy proxy g2",
  ]);
});
