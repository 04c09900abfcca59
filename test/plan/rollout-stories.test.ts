import assert from "node:assert/strict";
import fc from "fast-check";
import { expect, test } from "vitest";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { Desired, Memory } from "../../src/domain/memory.ts";
import { incarnationName, parseIncarnation, replicaName } from "../../src/domain/names.ts";
import type { Member, ObservedReplica } from "../../src/domain/observed.ts";
import type { PlanInput } from "../../src/domain/plan.ts";
import { mayPair } from "../../src/domain/revision.ts";
import { roles } from "../../src/domain/role.ts";
import type { ReplicaId, Role } from "../../src/domain/role.ts";
import type { JobSpec, RolloutSpec } from "../../src/domain/spec.ts";
import { stepCanary } from "../../src/plan/canary.ts";
import { eligibleMembers } from "../../src/plan/members.ts";
import { countOf, floorOf, rollOut, whyHeldUp } from "../../src/plan/rollout.ts";
import { lookAt } from "../../src/plan/world.ts";
import type { ReplicaWorld } from "../../src/plan/world.ts";
import { makeSpec } from "../support/spec.ts";
import { cases } from "../support/thorough.ts";

/** A job under a rollout whose steps end in any order, engines that die included. */
function rehearsal(first: JobSpec) {
  let spec = first;
  let desired: Desired = { replicas: countsOf(first) };
  let memory: Memory = {
    ...emptyMemory(0),
    served: true,
    settledRevision: 1,
    engine: { notes: [] },
  };
  let replicas: readonly ObservedReplica[] = roles.flatMap((role) =>
    Array.from({ length: first.roles[role].replicas }, (_, index) =>
      engine(first, { role, index }, 1, "healthy"),
    ),
  );
  let members: readonly Member[] = [];
  for (const one of replicas) prove(one, one.generation);
  members = eligibleMembers(lookAt(input()), input());

  function input(): PlanInput {
    const membership = { generation: 1, members };
    const proxy = { name: "demo-proxy-g1", generation: 1, state: "healthy" as const, membership };
    const groups = replicas.map(({ name }) => ({ name, state: "CREATED" as const, nodeIps: [] }));
    const observed = { session: "s", placementGroups: groups, replicas, proxies: [proxy] };
    return { spec, desired, memory, observed, inFlight: [], nowMs: 0 };
  }

  let planned: readonly ReplicaWorld[] = [];

  /** What may happen next, one thing for each replica that comes or goes, and one for the proxy. */
  function steps(): readonly (() => void)[] {
    const now = input();
    const world = rollOut(lookAt(now), now);
    planned = world.replicas;
    const wished = eligibleMembers(world, now);
    const moves = planned.flatMap((replica) => {
      const { id, current, name, wanted, retired, surge } = replica;
      if (!current) {
        const generation = (memory.generations[name] ?? 1) + 1;
        return wanted ? [() => boot(id, generation, surge === true)] : [];
      }
      if (current.actor?.state === "starting" && wanted && !retired)
        return [() => become(current.name, "healthy")];
      const canary = retired || !wanted ? undefined : stepCanary(replica, world, now);
      if (canary && "action" in canary && canary.action.kind === "sendCanary") {
        const { generation, partner } = canary.action;
        const pass = (): void => {
          prove(id, generation);
          prove(partner.replica, partner.generation);
        };
        return [pass];
      }
      const isMember = members.some((member) => member.name === current.name);
      return (retired || !wanted) && !isMember ? [() => remove(current.name)] : [];
    });
    const tell = same(members, wished) ? [] : [() => void (members = wished)];
    return [...moves, ...tell];
  }

  function boot(id: ReplicaId, generation: number, surge: boolean): void {
    const name = replicaName(id);
    memory = {
      ...memory,
      generations: { ...memory.generations, [name]: generation },
      ...(surge ? { surge: [...(memory.surge ?? []), name] } : {}),
    };
    replicas = [...replicas, engine(spec, id, generation, "starting")];
  }

  /** A canary went through it. */
  function prove(id: ReplicaId, generation: number): void {
    memory = { ...memory, proven: { ...memory.proven, [replicaName(id)]: generation } };
  }

  const become = (name: string, state: "healthy"): void =>
    void (replicas = replicas.map((one) => (one.name === name ? { ...one, state } : one)));

  function remove(name: string): void {
    replicas = replicas.filter((one) => one.name !== name);
    members = members.filter((one) => one.name !== name);
    const { role, index } = parseIncarnation(name) ?? {};
    const own = role && index !== undefined ? replicaName({ role, index }) : "";
    memory = { ...memory, surge: (memory.surge ?? []).filter((one) => one !== own) };
  }

  return {
    input,
    steps,
    /** As the last `steps` had it. */
    planned: () => planned,
    serving: () => members.filter(({ name }) => replicas.some((one) => one.name === name)),
    replicas: () => replicas,
    die: (which: number) => {
      const victim = replicas[which % Math.max(1, replicas.length)];
      if (victim) remove(victim.name);
    },
    change(next: JobSpec) {
      const pairings = [...(desired.pairings ?? [pairingOf(spec, 1)])];
      const known = pairings.some((one) => sameKv(one, next));
      const all = known ? pairings : [...pairings, pairingOf(next, pairings.length + 1)];
      const revision = (desired.rollout?.revision ?? 1) + 1;
      const rollout = { revision, since: memory.generations };
      desired = { replicas: countsOf(next), rollout, pairings: all };
      spec = next;
    },
  };
}

const countsOf = ({ roles: of }: JobSpec) => ({
  prefill: of.prefill.replicas,
  decode: of.decode.replicas,
});

const pairingOf = ({ roles: of }: JobSpec, number: number) => ({
  number,
  prefill: of.prefill.kvRevision ?? "",
  decode: of.decode.kvRevision ?? "",
});

const sameKv = (one: ReturnType<typeof pairingOf>, { roles: of }: JobSpec): boolean =>
  one.prefill === of.prefill.kvRevision && one.decode === of.decode.kvRevision;

const same = (a: readonly Member[], b: readonly Member[]): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

function engine(
  { name, roles: of }: JobSpec,
  id: ReplicaId,
  generation: number,
  state: "starting" | "healthy",
): ObservedReplica {
  const { revision = "", kvRevision = "" } = of[id.role];
  const port = generation * 1_000 + id.index * 2 + (id.role === "decode" ? 1 : 0);
  return {
    name: incarnationName(name, id, generation),
    ...id,
    generation,
    state,
    endpoint: { host: "10.0.0.1", ports: { http: port } },
    revision,
    kvRevision,
  };
}

interface Wish {
  readonly prefill: number;
  readonly decode: number;
  readonly revisions: readonly [string, string];
}

const specOf = (
  { prefill, decode, revisions: [ofPrefill, ofDecode] }: Wish,
  rollout: RolloutSpec,
  { spare, apart }: { readonly spare: number; readonly apart: boolean },
): JobSpec => {
  const kv = (revision: string) => ({ revision, kvRevision: apart ? revision : "same" });
  return makeSpec({
    numGpus: 2 * (prefill + decode) + 2 * spare,
    rollout,
    prefill: { replicas: prefill, ...kv(ofPrefill) },
    decode: { replicas: decode, ...kv(ofDecode) },
  });
};

const count = fc.integer({ min: 1, max: 4 });
const name = fc.constantFrom("a", "b", "c");
const wishes = fc.record({
  prefill: count,
  decode: count,
  revisions: fc.tuple(name, name),
});
const story = fc.record({
  first: wishes,
  /** Engines of two revisions cannot hand KV to each other. */
  apart: fc.boolean(),
  changes: fc.array(fc.record({ after: fc.nat(30), next: wishes }), { minLength: 1, maxLength: 3 }),
  deaths: fc.array(fc.record({ after: fc.nat(30), which: fc.nat(9) }), { maxLength: 2 }),
  unavailable: fc.integer({ min: 0, max: 2 }),
  surge: fc.integer({ min: 1, max: 2 }),
  picks: fc.infiniteStream(fc.nat(1_000)),
});

const stepsMax = 600;

/** The story's rollout to its end, with a look at every step. */
function run({ first, apart, changes, deaths, unavailable, surge, picks }: Story, check: Check) {
  const rollout = { surge, unavailable, attempts: 2 };
  const job = rehearsal(specOf(first, rollout, { spare: 4, apart }));
  const pick = picks[Symbol.iterator]();
  const last = Math.max(...[...changes, ...deaths].map(({ after }) => after));
  for (let step = 0; step < stepsMax; step++) {
    for (const { after, next } of changes)
      if (after === step) job.change(specOf(next, rollout, { spare: 4, apart }));
    for (const { after, which } of deaths) if (after === step) job.die(which);
    const next = job.steps();
    if (next.length === 0 && step >= last) return job;
    if (next.length === 0) continue;
    const before = job.serving();
    next[(pick.next().value ?? 0) % next.length]?.();
    check(job, before);
  }
  throw new Error(`still busy after ${stepsMax} steps`);
}

type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;
type Job = ReturnType<typeof rehearsal>;
type Check = (job: Job, before: readonly Member[]) => void;

const of = <T extends { readonly role: Role }>(role: Role, list: readonly T[]): readonly T[] =>
  list.filter((one) => one.role === role);

/** 10,000 stories take half a minute. */
const timeout = 600_000;

test(
  "whatever the counts, budgets, changes of mind and deaths: a rollout ends with every replica new, never takes out what the others cannot do without, and never makes more than the surge",
  { timeout },
  () => {
    fc.assert(
      fc.property(story, (one) => {
        const job = run(one, (now, before) => {
          keepsEnough(now, before);
          for (const role of roles) {
            const extra = now.planned().filter(({ id, surge }) => surge && id.role === role);
            assert.ok(extra.length <= one.surge, `${role}: ${extra.length} beside the wanted`);
          }
          if (one.deaths.length === 0) assert.ok(hasPair(now.serving()), "no pair serves");
        });
        const { spec } = job.input();
        for (const role of roles) {
          const own = of(role, job.replicas());
          expect(own).toHaveLength(spec.roles[role].replicas);
          expect(own.every(({ revision }) => revision === spec.roles[role].revision)).toBe(true);
          expect(of(role, job.serving())).toHaveLength(own.length);
        }
      }),
      { numRuns: cases(2_000, 10_000) },
    );
  },
);

/** What left the proxy in this step by the rollout's own doing could be spared. Asked at each of millions of steps, for which `expect` is slow. */
function keepsEnough(job: Job, before: readonly Member[]): void {
  const after = job.serving();
  const alive = before.filter(({ name: own }) => job.replicas().some((it) => it.name === own));
  const gone = alive.filter((member) => !after.some((other) => other.name === member.name));
  const { desired } = job.input();
  const isSurplus = gone.some(
    ({ name: own, role }) => (parseIncarnation(own)?.index ?? 0) >= desired.replicas[role],
  );
  for (const role of roles) {
    const floor = isSurplus ? 1 : floorOf(role, job.input());
    const kept = Math.min(floor, countOf(role, alive));
    assert.ok(countOf(role, after) >= kept, `${role}: ${countOf(role, after)} serve, not ${kept}`);
  }
}

const hasPair = (serving: readonly Member[]): boolean =>
  of("prefill", serving).some((a) => of("decode", serving).some((b) => mayPair(a, b)));

test("without room for one more, a job of one replica a role stays as it is and says why", () => {
  const budget = { surge: 1, unavailable: 1, attempts: 2 };
  const wished = { prefill: 1, decode: 1, revisions: ["a", "a"] } as const;
  const room = { spare: 0, apart: false };
  const job = rehearsal(specOf(wished, budget, room));
  job.change(specOf({ ...wished, revisions: ["b", "a"] }, budget, room));
  expect(job.steps()).toEqual([]);
  const now = job.input();
  expect(whyHeldUp(rollOut(lookAt(now), now), now)).toBe(
    "prefill-0 cannot be spared, and num_gpus 4 leaves no room for another prefill beside it",
  );
});
