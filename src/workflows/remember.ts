import type { Action, ActionOf, ProxyCommand } from "../domain/action.ts";
import { isReplacedProxy, targetOf } from "../domain/action.ts";
import { titleOf } from "../domain/canary.ts";
import type { EngineVersion } from "../domain/engine-version.ts";
import type { Memory } from "../domain/memory.ts";
import type { JobView } from "../domain/plan.ts";
import { incarnationName, proxyName } from "../domain/names.ts";
import { forgive, without } from "../domain/restart.ts";
import { restartsMax } from "../domain/spec.ts";
import type { Endpoint } from "../domain/spec.ts";
import { rememberFailure } from "./remember-failure.ts";
import { withProven, withServing, withoutCanaries } from "./proven.ts";

/** What to remember when an action starts: numbers that must never be used twice, even if its outcome stays unknown. */
export function rememberStart(memory: Memory, action: Action, nowMs: number): Memory {
  const target = targetOf(action);
  switch (action.kind) {
    case "reservePlacementGroup":
    case "renderProxy": {
      // Asked for again after a crash it is the same replacement.
      const isNew = action.generation > (memory.generations[target] ?? 0);
      const restarts =
        action.replaces && isNew
          ? {
              ...memory.restarts,
              [target]: [...(memory.restarts[target] ?? []), nowMs].slice(-restartsMax),
            }
          : memory.restarts;
      const known = { ...memory, restarts, generations: raised(memory, target, action.generation) };
      return "surge" in action ? withSurge(known, target) : known;
    }
    case "setMembership":
      return numbered(memory, action.generation);
    case "runProxy":
      return numbered(memory, action.membershipGeneration ?? 0);
    case "stopReplica":
    case "removePlacementGroup":
    case "stopProxy": {
      // A newer one was asked for since.
      if (isReplacedProxy(target)) return memory;
      // What an earlier workflow of the same name started was adopted: its numbers are used up too.
      const known = { ...memory, generations: raised(memory, target, action.generation) };
      if (action.failure) return rememberFailure(known, action, action.failure, nowMs);
      return action.kind === "stopReplica" ? withStopped(known, target, action.generation) : known;
    }
    case "uploadFiles":
    case "startPrefill":
    case "startDecode":
    case "readKvIp":
    case "waitHealthy":
    case "sendCanary":
    case "drainReplica":
    case "drainProxy":
    case "probeEngine":
    case "sweep":
      return memory;
  }
}

/** On purpose: that it is gone from now on is no failure. */
function withStopped(memory: Memory, target: string, generation: number): Memory {
  const { started, stopped } = memory;
  return {
    ...memory,
    started: started[target] === generation ? without(started, target) : started,
    stopped: { ...stopped, [target]: Math.max(stopped[target] ?? 0, generation) },
  };
}

const withSurge = (memory: Memory, target: string): Memory => {
  const { surge = [] } = memory;
  return surge.includes(target) ? memory : { ...memory, surge: [...surge, target] };
};

/** The number of a membership is used up once it was on its way. */
const numbered = (memory: Memory, generation: number): Memory => ({
  ...memory,
  membershipGeneration: Math.max(memory.membershipGeneration, generation),
});

/** What an earlier workflow of the same name started is adopted: its numbers are used up, even if it vanishes at once. */
export const rememberSeen = (memory: Memory, view: JobView): Memory =>
  withoutDrains(withServing(withGenerations(memory, view), view), view);

/** What serves again, because it is wanted after all, is drained anew before it leaves. */
function withoutDrains(memory: Memory, { replicas }: JobView): Memory {
  const serving = replicas.filter(({ phase }) => phase === "READY");
  const isOver = (incarnation: string): boolean =>
    serving.some(({ name, generation }) => incarnation.endsWith(`-${name}-g${generation}`));
  const drained = memory.drained.filter((one) => !isOver(one));
  return drained.length === memory.drained.length ? memory : { ...memory, drained };
}

function withGenerations(memory: Memory, { replicas, proxy }: JobView): Memory {
  const seen = [
    ...replicas,
    ...(proxy.generation === undefined ? [] : [{ name: "proxy", generation: proxy.generation }]),
  ];
  const isNew = seen.some(({ name, generation }) => generation > (memory.generations[name] ?? 0));
  if (!isNew) return memory;
  const generations = seen.reduce(
    (known, { name, generation }) => ({ ...known, [name]: Math.max(known[name] ?? 0, generation) }),
    memory.generations,
  );
  return { ...memory, generations };
}

/** What to remember of an action that succeeded: what cannot be observed in Ray afterwards. */
export function rememberSuccess(memory: Memory, action: Action, success: Success): Memory {
  const { result, job, nowMs } = success;
  switch (action.kind) {
    case "uploadFiles":
      return {
        ...memory,
        failures: without(memory.failures, "job"),
        package: (result as UploadedFiles).package,
      };
    case "probeEngine":
      return {
        ...memory,
        engine: result as EngineVersion,
        failures: without(memory.failures, "engine"),
      };
    case "startPrefill":
    case "startDecode":
      // Undefined: its placement group was gone, and nothing was started.
      return result === undefined ? memory : withStarted(memory, action, nowMs);
    case "runProxy":
      return withStarted(told(withMembers(revived(memory, action, nowMs), action)), action, nowMs);
    case "readKvIp":
      return result === undefined
        ? memory
        : { ...memory, kvIp: (result as { readonly kvIp: string }).kvIp };
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
    case "drainProxy": {
      const { generation } = action;
      const name = generation === undefined ? "proxy" : proxyName(job, generation);
      return { ...memory, drained: [...memory.drained, name] };
    }
    case "sendCanary":
      // Undefined: one of the two was gone.
      return result === undefined ? memory : withProven(memory, action);
    case "removePlacementGroup": {
      const left = withoutCanaries(memory, titleOf(action));
      return action.failure || action.isWanted
        ? left
        : forget(left, targetOf(action), incarnationName(job, action.replica, action.generation));
    }
    case "sweep":
      return { ...memory, swept: true };
    case "reservePlacementGroup":
    case "waitHealthy":
    case "stopReplica":
      return memory;
    case "setMembership":
      return told(memory);
    case "stopProxy":
      return withoutProxy(memory, action, proxyName(job, action.generation));
  }
}

/** Stopped on purpose: that it is gone afterwards is no failure. */
function withoutProxy(memory: Memory, action: ActionOf<"stopProxy">, name: string): Memory {
  const drained = memory.drained.filter((one) => one !== name);
  return !action.failure && memory.started["proxy"] === action.generation
    ? { ...memory, drained, started: without(memory.started, "proxy") }
    : { ...memory, drained };
}

const withMembers = (
  memory: Memory,
  { generation, command: { builtin, members } }: ActionOf<"runProxy">,
): Memory => (builtin ? memory : { ...memory, proxyStarted: { generation, members } });

/** A process that is started anew where one has ended is a replacement as any other. */
function revived(memory: Memory, { run }: ActionOf<"runProxy">, nowMs: number): Memory {
  if (run === undefined) return memory;
  const proxy = [...(memory.restarts["proxy"] ?? []), nowMs].slice(-restartsMax);
  return { ...memory, restarts: { ...memory.restarts, proxy } };
}

const withStarted = (
  memory: Memory,
  action: Action & { readonly generation: number },
  nowMs: number,
): Memory => ({
  ...memory,
  started: { ...memory.started, [targetOf(action)]: action.generation },
  startedAtMs: { ...memory.startedAtMs, [targetOf(action)]: nowMs },
});

interface Success {
  readonly result: ActionResult;
  readonly job: string;
  readonly nowMs: number;
}

export interface UploadedFiles {
  readonly package: string;
  /** For the job's events: what was uploaded, and how much, or that Ray had it. */
  readonly text: string;
}

/** What activities hand back, as far as it is remembered. */
export type ActionResult =
  | { readonly notes: readonly string[] }
  | { readonly kvIp: string }
  | { readonly host?: string }
  | UploadedFiles
  | EngineVersion
  | ProxyCommand
  | Endpoint
  | undefined;

/** A replica that was taken away on purpose starts with a clean slate if it is wanted again; its generations go on. */
function forget(memory: Memory, target: string, incarnation: string): Memory {
  return {
    ...forgive(memory, target),
    started: without(memory.started, target),
    proven: without(memory.proven, target),
    startedAtMs: without(memory.startedAtMs, target),
    stopped: without(memory.stopped, target),
    drained: memory.drained.filter((name) => name !== incarnation),
    ...(memory.surge ? { surge: memory.surge.filter((name) => name !== target) } : {}),
  };
}

/** The running proxy knows its members, or is a new one. */
function told(memory: Memory): Memory {
  const { untold: _, ...rest } = memory;
  return rest;
}

const raised = (
  { generations }: Memory,
  target: string,
  generation: number,
): Memory["generations"] => ({
  ...generations,
  [target]: Math.max(generations[target] ?? 0, generation),
});
