import { expect, test } from "vitest";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { Member, ObservedReplica } from "../../src/domain/observed.ts";
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

test("what a new workflow adopts serves first, and is brought to its config afterwards", () => {
  const job = fakeCluster(revised("a"));
  job.settle();
  job.state.spec = revised("b");
  job.state.memory = { ...emptyMemory(0), engine: { notes: [] } };
  const phases = new Set<string>();
  for (let turn = 0; turn < 60; turn++) {
    const { actions, view } = job.turn();
    phases.add(view.phase);
    for (const action of actions) job.run(action);
  }
  expect([...phases].slice(0, 2)).toEqual(["READY", "UPDATING"]);
  expect(job.turn().view.phase).toBe("READY");
  expect(job.state.observed.replicas.map(({ revision }) => revision)).toEqual(["b", "b", "b", "b"]);
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
