import type { Bug } from "./bug.ts";
import { crashLoop, exit, hang, scaleDown, update } from "./stories.ts";

/** What src/plan may get wrong. */
export const policyBugs: readonly Bug[] = [
  {
    name: "an older generation is neither removed nor fenced",
    caughtBy: "one engine for each replica",
    schedule: hang,
    bug: ({ stepWanted, condemned }) => ({
      fence: async () => undefined,
      stepWanted({ current, ...replica }, world, input) {
        const lives = current && !condemned({ ...replica, current }, input);
        const seen = { ...replica, stale: [], ...(lives ? { current } : {}) };
        return stepWanted(seen, world, input);
      },
    }),
  },
  {
    name: "the group of a replica that leaves is leaked",
    caughtBy: "every job comes to rest",
    schedule: scaleDown,
    bug: ({ lookAt }) => ({
      lookAt(input) {
        const world = lookAt(input);
        const isSeen = ({ wanted, current }: (typeof world.replicas)[number]): boolean =>
          wanted || current?.actor !== undefined;
        return { ...world, replicas: world.replicas.filter(isSeen) };
      },
    }),
  },
  {
    name: "a stopped job releases nothing",
    caughtBy: "nothing is left of an ended job",
    bug: () => ({
      sweep: async () => ({ removed: [] }),
      stepTeardown: (_, { memory, inFlight }) =>
        memory.swept || inFlight.length > 0 ? [] : [{ kind: "sweep", reason: "" }],
    }),
  },
  {
    name: "a replica is stopped while the proxy uses it",
    caughtBy: "a replica is drained before it is stopped",
    bug: ({ stepUnwanted }) => ({
      stepUnwanted(replica, { replicas, staleProxies, busy }, input) {
        return stepUnwanted(replica, { replicas, staleProxies, busy }, input);
      },
    }),
  },
  {
    name: "a replacement does not wait",
    caughtBy: "replacements keep to backoff and budget",
    schedule: crashLoop,
    bug: () => ({ mayRestart: () => ({ kind: "now" }) }),
  },
  {
    name: "what failed is never tried again",
    caughtBy: "every job comes to rest",
    bug: () => ({
      mayRestart: (_, _memory, _budget, nowMs) => ({ kind: "later", atMs: nowMs + 3_600_000 }),
    }),
  },
  {
    name: "generations are forgotten",
    caughtBy: "generations are never reused",
    schedule: exit,
    bug: ({ reconcile }) => ({
      reconcile: (input) =>
        reconcile({
          ...input,
          memory: { ...input.memory, generations: {}, started: {}, failures: {} },
        }),
    }),
  },
  {
    name: "the proxy is told of replicas that do not answer yet",
    caughtBy: "the proxy is told only of ready replicas",
    bug: ({ memberOf }) => ({
      eligibleMembers: ({ replicas }) =>
        replicas.flatMap(({ current }) => (current?.actor && memberOf(current.actor)) ?? []),
    }),
  },
  {
    name: "a replica serves as soon as it answers /health",
    caughtBy: "no replica is a member that no canary went through",
    bug: () => ({ isProven: () => true }),
  },
  {
    name: "a job is READY with one pair of many",
    caughtBy: "READY is said only when it is true",
    bug: ({ viewOf, hasPair, eligibleMembers }) => ({
      viewOf: (world, input) => ({
        ...viewOf(world, input),
        ...(hasPair(eligibleMembers(world, input)) ? { phase: "READY" } : {}),
      }),
    }),
  },
  {
    name: "a stopped job keeps its GPUs",
    caughtBy: "nothing is left of an ended job",
    bug: ({ stepTeardown }) => ({
      sweep: async () => ({ removed: [] }),
      stepTeardown(world, input) {
        const replicas = world.replicas.filter(({ current }) => current?.actor);
        return stepTeardown({ ...world, replicas }, input);
      },
    }),
  },
  {
    name: "two things are done to one replica at once",
    caughtBy: "one action for each target",
    bug: ({ lookAt }) => ({ lookAt: (input) => ({ ...lookAt(input), busy: new Set() }) }),
  },
  {
    name: "the first replica of a role leaves instead of the last",
    caughtBy: "a healthy replica that is wanted is left alone",
    schedule: scaleDown,
    bug: ({ lookAt }) => ({
      lookAt(input) {
        const world = lookAt(input);
        const { replicas } = world;
        const last = replicas.find(({ wanted }) => !wanted);
        return {
          ...world,
          replicas: replicas.map((one) =>
            last && one.id.role === last.id.role && (one === last || one.id.index === 0)
              ? { ...one, wanted: one === last }
              : one,
          ),
        };
      },
    }),
  },
  {
    name: "the policy looks again at once, and again",
    caughtBy: "the policy does not spin",
    bug: ({ reconcile }) => ({
      reconcile: (input) => ({ ...reconcile(input), wakeAtMs: input.nowMs }),
    }),
  },
  {
    name: "an engine's end is not noticed",
    caughtBy: "every job comes to rest",
    schedule: exit,
    bug: () => ({ condemned: () => undefined }),
  },
  {
    name: "the proxy is not told who may be paired with whom",
    caughtBy: "no proxy may pair two that were never meant to be paired",
    schedule: update,
    bug: ({ eligibleMembers }) => ({
      eligibleMembers: (world, input) =>
        eligibleMembers(world, input).map(({ name, role, url }) => ({ name, role, url })),
    }),
  },
  {
    name: "what was stopped on purpose is started again",
    caughtBy: "generations are never reused",
    schedule: update,
    bug: ({ reconcile }) => ({
      reconcile: (input) => reconcile({ ...input, memory: { ...input.memory, stopped: {} } }),
    }),
  },
  {
    name: "the proxy keeps a member that is dead",
    caughtBy: "the proxy is told only of ready replicas",
    schedule: exit,
    bug: ({ eligibleMembers }) => ({
      eligibleMembers(world, input) {
        const members = eligibleMembers(world, input);
        const names = new Set(members.map(({ name }) => name));
        const known = world.proxy?.membership?.members ?? [];
        return [...members, ...known.filter(({ name }) => !names.has(name))];
      },
    }),
  },
];
