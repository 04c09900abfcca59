import { expect, test } from "vitest";
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

test("a job that has served goes back once a replica failed twice with the new config, and never for the cluster's sake", () => {
  const job = fakeCluster(revised("a"));
  job.settle();
  wish(revised("b"), job);
  const failing = (code: "EngineExited" | "ClusterChanged", generation: number) => {
    const failures = { "decode-1": { code, message: "gone", generation, atMs: 0 } };
    job.state.memory = { ...job.state.memory, failures };
    return job.turn().rollback;
  };
  expect(failing("EngineExited", 2)).toBeUndefined();
  expect(failing("ClusterChanged", 3)).toBeUndefined();
  expect(failing("EngineExited", 3)).toBe("decode-1 failed with revision 2: gone");
  job.state.memory = { ...job.state.memory, settledRevision: 2 };
  expect(failing("EngineExited", 3)).toBeUndefined();
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
