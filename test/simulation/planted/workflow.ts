import { waits } from "../../../src/domain/action.ts";
import type { Bug } from "./bug.ts";
import { crashLoop, exitBesideStop, stopUnderLoad } from "./stories.ts";

/** What src/workflows, and an activity, may get wrong. */
export const workflowBugs: readonly Bug[] = [
  {
    name: "a signal is dropped",
    caughtBy: "every job comes to rest",
    bug: () => ({ claimKey: () => false }),
  },
  {
    name: "a drain does not wait",
    caughtBy: "a replica is drained before it is stopped",
    bug: () => ({ untilDrained: async () => ({ left: 0 }) }),
  },
  {
    name: "a stop does not let requests end",
    caughtBy: "a replica is drained before it is stopped",
    schedule: stopUnderLoad,
    bug: ({ stopWanted }) => ({ stopWanted: (state) => stopWanted(state, false) }),
  },
  {
    name: "a second watcher runs beside the first",
    caughtBy: "one watch for each job",
    bug: ({ createWatcher }) => ({
      createWatcher(state) {
        const [one, other] = [createWatcher(state), createWatcher(state)];
        return {
          start(look) {
            one.start(look);
            other.start(look);
          },
          stop: async () => void (await Promise.all([one.stop(), other.stop()])),
        };
      },
    }),
  },
  {
    name: "the watch is not begun again",
    caughtBy: "every job comes to rest",
    bug: ({ createWatcher }) => ({
      createWatcher(state) {
        const watcher = createWatcher(state);
        let hasStarted = false;
        return {
          ...watcher,
          start(look) {
            if (!hasStarted) watcher.start(look);
            hasStarted = true;
          },
        };
      },
    }),
  },
  {
    name: "nobody watches beside changes",
    caughtBy: "what dies is noticed, whatever else is done to its job",
    schedule: exitBesideStop,
    bug: ({ createWatcher }) => ({
      createWatcher(state) {
        const watcher = createWatcher(state);
        const isWaiting = (): boolean =>
          [...state.inFlight.values()].every(({ kind }) => waits.has(kind));
        return { ...watcher, start: (look) => (isWaiting() ? watcher.start(look) : undefined) };
      },
    }),
  },
  {
    name: "restarts are not counted",
    caughtBy: "replacements keep to backoff and budget",
    schedule: crashLoop,
    bug: ({ rememberStart }) => ({
      rememberStart: (memory, action, nowMs) => ({
        ...rememberStart(memory, action, nowMs),
        restarts: {},
      }),
    }),
  },
  {
    name: "a stop is ignored",
    caughtBy: "a job ends as it was asked to",
    bug: () => ({ stopWanted: () => undefined }),
  },
  {
    name: "a restart is ignored",
    caughtBy: "every job comes to rest",
    bug: () => ({ retire: () => 0 }),
  },
  {
    name: "the wish is lost at continue-as-new",
    caughtBy: "every job comes to rest",
    bug: ({ carry }) => ({
      carry(state) {
        const { prefill, decode } = state.spec.roles;
        const replicas = { prefill: prefill.replicas, decode: decode.replicas };
        return { ...carry(state), desired: { ...state.desired, replicas } };
      },
    }),
  },
  {
    name: "continue-as-new forgets that the job has served",
    caughtBy: "a job that served goes on until somebody ends it",
    bug: ({ carry }) => ({
      carry(state) {
        const carried = carry(state);
        return { ...carried, memory: { ...carried.memory, served: false } };
      },
    }),
  },
];
