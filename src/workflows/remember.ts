import type { Action, ProxyCommand } from "../domain/action.ts";
import { targetOf } from "../domain/action.ts";
import type { Failure } from "../domain/errors.ts";
import type { Memory } from "../domain/memory.ts";
import { incarnationName } from "../domain/names.ts";

/** Times of replacements kept per target: no budget allows more. */
const restartsKept = 100;

/** What to remember when an action starts: numbers that must never be used twice, even if its outcome stays unknown. */
export function rememberStart(memory: Memory, action: Action, nowMs: number): Memory {
  const target = targetOf(action);
  switch (action.kind) {
    case "reservePlacementGroup": {
      const restarts = action.replaces
        ? {
            ...memory.restarts,
            [target]: [...(memory.restarts[target] ?? []), nowMs].slice(-restartsKept),
          }
        : memory.restarts;
      return { ...memory, restarts, generations: raised(memory, target, action.generation) };
    }
    case "renderProxy": {
      const replaces =
        memory.failures["proxy"] !== undefined &&
        memory.failures["proxy"].generation === action.generation - 1;
      const restarts = replaces
        ? {
            ...memory.restarts,
            proxy: [...(memory.restarts["proxy"] ?? []), nowMs].slice(-restartsKept),
          }
        : memory.restarts;
      return { ...memory, restarts, generations: raised(memory, target, action.generation) };
    }
    case "setMembership":
      return {
        ...memory,
        membershipGeneration: Math.max(memory.membershipGeneration, action.generation),
      };
    case "stopReplica":
    case "removePlacementGroup":
    case "stopProxy": {
      // What an earlier workflow of the same name started was adopted: its numbers are used up too.
      const known = { ...memory, generations: raised(memory, target, action.generation) };
      return action.failure ? rememberFailure(known, action, action.failure, nowMs) : known;
    }
    case "startPrefill":
    case "startDecode":
    case "readKvIp":
    case "waitHealthy":
    case "drainReplica":
    case "runProxy":
    case "drainProxy":
    case "sweep":
      return memory;
  }
}

/** What to remember of an action that succeeded: what cannot be observed in Ray afterwards. */
export function rememberSuccess(
  memory: Memory,
  action: Action,
  result: ActionResult,
  job: string,
): Memory {
  switch (action.kind) {
    case "startPrefill":
    case "startDecode":
    case "runProxy":
      return { ...memory, started: { ...memory.started, [targetOf(action)]: action.generation } };
    case "readKvIp":
      return { ...memory, kvIp: (result as { readonly kvIp: string }).kvIp };
    case "renderProxy":
      return {
        ...memory,
        proxyCommand: { generation: action.generation, command: result as ProxyCommand },
      };
    case "drainReplica":
      return {
        ...memory,
        drained: [...memory.drained, incarnationName(job, action.replica, action.generation)],
      };
    case "drainProxy":
      return { ...memory, drained: [...memory.drained, "proxy"] };
    case "removePlacementGroup":
      return action.failure
        ? memory
        : forget(memory, targetOf(action), incarnationName(job, action.replica, action.generation));
    case "sweep":
      return { ...memory, swept: true };
    case "reservePlacementGroup":
    case "waitHealthy":
    case "stopReplica":
    case "setMembership":
      return memory;
    case "stopProxy":
      // Stopped on purpose: that it is gone afterwards is no failure.
      return !action.failure && memory.started["proxy"] === action.generation
        ? { ...memory, started: without(memory.started, "proxy") }
        : memory;
  }
}

/** What activities hand back, as far as it is remembered. */
export type ActionResult = { readonly kvIp: string } | ProxyCommand | undefined;

export function rememberFailure(
  memory: Memory,
  action: Action,
  failure: Failure,
  nowMs: number,
): Memory {
  const target = targetOf(action);
  const generation =
    "generation" in action && action.kind !== "setMembership"
      ? action.generation
      : (memory.generations[target] ?? 0);
  return {
    ...memory,
    failures: { ...memory.failures, [target]: { ...failure, generation, atMs: nowMs } },
  };
}

/** A replica that was taken away on purpose starts with a clean slate if it is wanted again; its generations go on. */
function forget(memory: Memory, target: string, incarnation: string): Memory {
  return {
    ...memory,
    started: without(memory.started, target),
    failures: without(memory.failures, target),
    restarts: without(memory.restarts, target),
    drained: memory.drained.filter((name) => name !== incarnation),
  };
}

const without = <V>(
  record: Readonly<Record<string, V>>,
  key: string,
): Readonly<Record<string, V>> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));

const raised = (
  { generations }: Memory,
  target: string,
  generation: number,
): Memory["generations"] => ({
  ...generations,
  [target]: Math.max(generations[target] ?? 0, generation),
});
