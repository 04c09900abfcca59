import fc from "fast-check";
import { expect, test } from "vitest";
import type { Member } from "../../src/domain/observed.ts";
import { mayPair } from "../../src/domain/revision.ts";
import { roles } from "../../src/domain/role.ts";
import type { Role } from "../../src/domain/role.ts";
import type { CallSpec, JobSpec, SchedulerSpec } from "../../src/domain/spec.ts";
import { leastOf } from "../../src/plan/kinds.ts";
import { floorOf } from "../../src/plan/rollout.ts";
import { adopt } from "../../src/workflows/revisions.ts";
import { openState } from "../../src/workflows/state.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

/*
 * Whole updates by the real policy, the workflow's own memory and its own rules of what a change makes of a job, one action
 * at a time in any order, behind every kind of proxy.
 */

const call: CallSpec = { method: "POST", url: "/workers", headers: {}, accept: [] };
const calls = { prefill: call, decode: call };
const command = ["proxy"];
const schedulers = {
  builtin: { port: 1, membership: "builtin" },
  file: { port: 1, command, membership: "file", file: { path: "members" } },
  http: { port: 1, command, membership: "http", http: { add: calls, remove: calls } },
  "http, removals alone": {
    port: 1,
    command: ["proxy", "$PREFILL_URLS", "$DECODE_URLS"],
    membership: "http",
    http: { remove: calls },
  },
  restart: { port: 1, command: ["proxy", "$PREFILL_URLS"], membership: "restart" },
  none: { port: 1, command, membership: "none" },
} as const satisfies Readonly<Record<string, SchedulerSpec>>;
type Adapter = keyof typeof schedulers;

type Played = ReturnType<typeof fakeCluster>;

interface Story {
  readonly adapter: Adapter;
  readonly prefill: number;
  readonly decode: number;
  /** Of both roles, before and after. */
  readonly kinds: readonly (readonly [string, string])[];
  readonly unavailable: number;
  readonly surge: number;
  readonly picks: Iterator<number>;
}

const specOf = (one: Story, [ofPrefill, ofDecode]: readonly [string, string]): JobSpec =>
  makeSpec({
    numGpus: 2 * (one.prefill + one.decode) + 4 * one.surge,
    scheduler: schedulers[one.adapter],
    rollout: { surge: one.surge, unavailable: one.unavailable, attempts: 2 },
    restart: { restartsMax: 0, windowS: 600 },
    prefill: { replicas: one.prefill, revision: ofPrefill, kvRevision: ofPrefill },
    decode: { replicas: one.decode, revision: ofDecode, kvRevision: ofDecode },
  });

const stepsMax = 600;

/** Plays the changes, each a number of steps after the one before, and then to rest. */
function play(story: Story, look: (job: Played) => void) {
  const [first, ...changes] = story.kinds.map((kinds) => specOf(story, kinds));
  if (!first) throw new Error("a story has a beginning");
  const job = fakeCluster(first);
  job.settle();
  job.state.starts = [];
  job.state.log = [];
  const workflow = openState(first, undefined, 0);
  for (const next of changes) {
    Object.assign(workflow, { memory: job.state.memory, desired: job.state.desired });
    adopt(workflow, { spec: next, why: "apply" }, job.state.nowMs);
    const { spec, memory, desired } = workflow;
    Object.assign(job.state, { spec, memory, desired });
    const isLast = next === changes.at(-1);
    const steps = isLast ? stepsMax : (story.picks.next().value ?? 0) % 40;
    for (let step = 0; step < steps; step++) {
      const { actions, wakeAtMs, failure } = job.turn();
      expect(failure).toBeUndefined();
      if (actions.length === 0 && wakeAtMs === undefined) break;
      if (actions.length === 0) job.state.nowMs = Math.max(job.state.nowMs + 1, wakeAtMs ?? 0);
      const action = actions[(story.picks.next().value ?? 0) % Math.max(1, actions.length)];
      if (action) job.run(action);
      look(job);
    }
  }
  return job;
}

/** Undefined where nobody can tell: between two command lines. */
function told({ state }: Played): readonly Member[] | undefined {
  const [proxy] = state.observed.proxies;
  const { generation, command: known } = state.memory.proxyCommand ?? {};
  return (
    proxy?.membership?.members ?? (generation === proxy?.generation ? known?.members : undefined)
  );
}

const kindOf = ({ state }: Played, { name }: Member) =>
  state.observed.replicas.find((one) => one.name === name)?.kvRevision;

/** Healthy, and known to the proxy. */
const serving = (job: Played, role: Role): number => {
  const members = job.state.spec.scheduler.membership === "none" ? undefined : told(job);
  return job.state.observed.replicas.filter(
    (one) =>
      one.role === role &&
      one.state === "healthy" &&
      (members?.some(({ name }) => name === one.name) ?? true),
  ).length;
};

/** Old and new engines that the proxy might pair although they were never meant to. */
function strangers(job: Played, pairs: ReadonlySet<string>): readonly string[] {
  const members = (told(job) ?? []).filter((one) => kindOf(job, one) !== undefined);
  return members
    .filter(({ role }) => role === "prefill")
    .flatMap((one) =>
      members
        .filter((other) => other.role === "decode" && mayPair(one, other))
        .map((other) => `${kindOf(job, one)}-${kindOf(job, other)}`)
        .filter((pair) => !pairs.has(pair)),
    );
}

function expectUpdated(job: Played): void {
  const { spec, observed, plan, memory } = job.state;
  expect(plan?.view).toMatchObject({ phase: "READY" });
  for (const role of roles) {
    const own = observed.replicas.filter((one) => one.role === role);
    expect(own.map(({ revision }) => revision)).toEqual(own.map(() => spec.roles[role].revision));
    expect(own).toHaveLength(spec.roles[role].replicas);
    expect(serving(job, role)).toBe(own.length);
  }
  expect(memory).toMatchObject({ restarts: {}, failures: {}, stopped: {} });
  expect(memory.surge ?? []).toEqual([]);
}

test.each(
  Object.keys(schedulers).flatMap((adapter) =>
    [
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
      [5, 5],
      [1, 4],
    ].map(([prefill = 1, decode = 1]) => [adapter as Adapter, prefill, decode] as const),
  ),
)(
  "behind %s, an update of the KV of %i + %i replicas comes to its end",
  (adapter, prefill, decode) => {
    const picks = [].values();
    const kinds = [
      ["a", "a"],
      ["b", "b"],
    ] as const;
    const story = { adapter, prefill, decode, kinds, unavailable: 1, surge: 1, picks };
    expectUpdated(play(story, () => undefined));
  },
);

const count = fc.integer({ min: 1, max: 5 });
const kind = fc.constantFrom("a", "b", "c");
const stories = fc.record({
  adapter: fc.constantFrom(...(Object.keys(schedulers) as Adapter[])),
  prefill: count,
  decode: count,
  kinds: fc.array(fc.tuple(kind, kind), { minLength: 2, maxLength: 4 }),
  unavailable: fc.integer({ min: 0, max: 2 }),
  surge: fc.integer({ min: 1, max: 2 }),
  picks: fc.infiniteStream(fc.nat(1_000)),
});

/**
 * The least of what is wanted that must be served at any time: the scarcer role decides. A change of mind in the middle of
 * an update may leave a single pair: there are engines of three kinds then.
 */
const shareMin = ({ spec, desired }: Played["state"], changes: number): number => {
  if (changes > 1) return 1 / Math.max(...roles.map((role) => desired.replicas[role]));
  const { membership } = spec.scheduler;
  const isOneKind = membership !== "builtin" && membership !== "none";
  return Math.min(
    ...roles.map((role) => {
      const input = { spec, desired };
      const floor = floorOf(role, input);
      return (isOneKind ? Math.min(floor, leastOf(role, input)) : floor) / desired.replicas[role];
    }),
  );
};

test(
  "whatever changes when, behind every kind of proxy: an update ends, costs no restart, keeps enough serving, and no proxy is told of two that must not be paired",
  { timeout: 600_000 },
  () => {
    fc.assert(
      fc.property(stories, (story) => {
        const pairs = new Set(story.kinds.map((kinds) => kinds.join("-")));
        const job = play(story, (now) => {
          const { desired } = now.state;
          if (story.adapter !== "none") expect(strangers(now, pairs)).toEqual([]);
          const share = Math.min(
            ...roles.map((role) => serving(now, role) / desired.replicas[role]),
          );
          expect(share).toBeGreaterThanOrEqual(shareMin(now.state, story.kinds.length - 1));
        });
        expectUpdated(job);
      }),
      { numRuns: 300 },
    );
  },
);
