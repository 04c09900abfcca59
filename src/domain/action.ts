import type { CanaryPartner } from "./canary.ts";
import type { Failure } from "./errors.ts";
import { replicaName } from "./names.ts";
import type { Member } from "./observed.ts";
import type { ReplicaId, Role } from "./role.ts";
import type { Bundle, JobSpec, Strategy } from "./spec.ts";

/** Present for a gang only: how the placement group of this generation was cut, a bundle for each rank. */
interface ForRanks {
  readonly bundles?: readonly Bundle[];
}

interface ForReplica {
  readonly replica: ReplicaId;
  readonly generation: number;
  /** Why, in the operator's words. */
  readonly reason: string;
}

interface ForFiles {
  /** Ray's address of the uploaded files in which it is to run. */
  readonly package?: string;
}

interface ForStart extends ForReplica, ForRanks, ForFiles {
  readonly kvIp?: string;
  /** The engines' vLLM; unknown = the newest. */
  readonly engineVersion?: string;
}

/** One thing to do next. Each is performed by one idempotent activity of the same name. */
export type Action =
  | { readonly kind: "uploadFiles"; readonly directory: string; readonly reason: string }
  | {
      readonly kind: "probeEngine";
      /** The job has no proxy yet: can the head node run one, and is its port free? */
      readonly isProxyNew?: true;
      readonly reason: string;
    }
  | (ForReplica & {
      readonly kind: "reservePlacementGroup";
      readonly bundles: readonly Bundle[];
      /** Present for a gang only. */
      readonly strategy?: Strategy;
      readonly replaces: boolean;
      /** A rollout makes it beyond the wanted ones, for a while. */
      readonly surge?: true;
      readonly deadlineMs?: number;
    })
  | (ForStart & { readonly kind: "startPrefill" })
  | (ForStart & { readonly kind: "startDecode" })
  | (ForReplica & { readonly kind: "readKvIp" })
  | (ForReplica & ForRanks & { readonly kind: "waitHealthy"; readonly deadlineMs: number })
  | (ForReplica & {
      readonly kind: "sendCanary";
      /** Of the other role. */
      readonly partner: CanaryPartner;
      readonly urls: Readonly<Record<Role, string>>;
      /** The engines' vLLM; unknown = the newest. */
      readonly engineVersion?: string;
      readonly deadlineMs: number;
    })
  | (ForReplica & {
      readonly kind: "drainReplica";
      readonly deadlineMs: number;
      /** Set when the proxy does not count requests: the engine must have had none for so long. */
      readonly quietS?: number;
    })
  | (ForReplica & {
      readonly kind: "stopReplica";
      readonly graceS: number;
      readonly failure?: Failure;
    })
  | (ForReplica & {
      readonly kind: "removePlacementGroup";
      readonly failure?: Failure;
      /** The replica stays wanted, so what is remembered of it stays: its restarts above all. */
      readonly isWanted?: true;
    })
  | {
      readonly kind: "renderProxy";
      readonly generation: number;
      readonly members: readonly Member[];
      /** It counts against the restart budget. */
      readonly replaces: boolean;
      readonly reason: string;
    }
  | {
      readonly kind: "runProxy";
      readonly generation: number;
      readonly command: ProxyCommand;
      readonly package?: string;
      /** Of the members that the built-in proxy is started with. */
      readonly membershipGeneration?: number;
      /** Its process ended and its actor lives, so that no client is refused: the next process there. Absent = 1. */
      readonly run?: number;
      readonly deadlineMs: number;
      readonly reason: string;
    }
  | {
      readonly kind: "setMembership";
      readonly proxyGeneration: number;
      readonly generation: number;
      readonly members: readonly Member[];
      /** The job stops: whoever comes is refused at once, instead of waiting for members. */
      readonly closing?: true;
      readonly reason: string;
    }
  | {
      readonly kind: "drainProxy";
      readonly deadlineMs: number;
      /** Only that one, which a newer one has replaced: it takes no more connections, and ends those that it has. */
      readonly generation?: number;
      readonly reason: string;
    }
  | {
      readonly kind: "stopProxy";
      readonly generation: number;
      /** A newer one has taken over. */
      readonly isReplaced?: true;
      readonly graceS: number;
      readonly failure?: Failure;
      readonly reason: string;
    }
  | { readonly kind: "sweep"; readonly reason: string };

export type ActionKind = Action["kind"];
export type ActionOf<K extends ActionKind> = Extract<Action, { readonly kind: K }>;

/** They change nothing, or nothing at once: something else may happen meanwhile to what they wait for. */
export const waits: ReadonlySet<ActionKind> = new Set([
  "reservePlacementGroup",
  "waitHealthy",
  "sendCanary",
  "drainReplica",
  "drainProxy",
]);

/** What the activity that performs an action is given. */
export interface ActionInput<K extends ActionKind> {
  readonly spec: JobSpec;
  readonly action: ActionOf<K>;
}

/**
 * What an action works on: `prefill-0`, `proxy`, `kv-ip`, `engine` or `job`; a proxy that was replaced is on its own,
 * `proxy-g1`. At most one action per target runs at a time.
 */
export function targetOf(action: Action): string {
  // A read beside whatever is done to the replica.
  if (action.kind === "readKvIp") return "kv-ip";
  if ("replica" in action) return replicaName(action.replica);
  if (action.kind === "probeEngine") return "engine";
  if (action.kind === "drainProxy" && action.generation !== undefined)
    return replacedProxy(action.generation);
  if (action.kind === "stopProxy" && action.isReplaced) return replacedProxy(action.generation);
  return action.kind === "sweep" || action.kind === "uploadFiles" ? "job" : "proxy";
}

export const replacedProxy = (generation: number): string => `proxy-g${generation}`;

export const isReplacedProxy = (target: string): boolean => target.startsWith("proxy-g");

/** `waitHealthy prefill-0 g1`: names an action in status, in logs and in the set of actions in flight. */
export function actionKey(action: Action): string {
  const target = targetOf(action);
  const subject = "replica" in action ? replicaName(action.replica) : target;
  const isNumbered = "generation" in action && !isReplacedProxy(target);
  const run = action.kind === "runProxy" && action.run !== undefined ? ` run ${action.run}` : "";
  return `${action.kind} ${subject}${isNumbered ? ` g${action.generation}` : ""}${run}`;
}

/** An action that is being performed, as the planner needs to know it. */
export interface InFlightAction {
  readonly key: string;
  readonly kind: ActionKind;
  readonly target: string;
}

/** What `renderProxy` produced: the very command that `runProxy` runs. */
export interface ProxyCommand {
  readonly builtin: boolean;
  readonly argv: readonly string[];
  /** The members the command was rendered for. */
  readonly members: readonly Member[];
}
