import type { ProxyCommand } from "./action.ts";
import type { FailedCanary } from "./canary.ts";
import type { EngineVersion } from "./engine-version.ts";
import type { Failure } from "./errors.ts";
import type { Member } from "./observed.ts";
import type { Pairing, Rollout } from "./revision.ts";
import type { Role } from "./role.ts";

/** What the job should be. Edited by messages, and by what is found of an earlier workflow. */
export interface Desired {
  readonly replicas: Readonly<Record<Role, number>>;
  /** Present once the whole job is to go. `drain`: let requests in flight end first. */
  readonly stop?: { readonly drain: boolean };
  /** By target: generations up to this one are to be replaced, although they may be healthy. */
  readonly retired?: Readonly<Record<string, number>>;
  /** By target: the same, and each as soon as another of its role serves. */
  readonly relieved?: Readonly<Record<string, number>>;
  /** The last change of the config, once there was one. */
  readonly rollout?: Rollout;
  /** Which engines were ever meant to hand KV to each other, oldest first; absent while there is one config only. */
  readonly pairings?: readonly Pairing[];
}

/** The last failure of a target, and of which of its generations. */
export interface RecordedFailure extends Failure {
  readonly generation: number;
  readonly atMs: number;
  /** Generations that failed by themselves, and not by the cluster's fault, since the config was changed; bounded. */
  readonly failed?: readonly number[];
}

/** How far a first deployment is with reserving all that it wants, which it does before any engine starts. */
export interface Reserving {
  /** Counts the times that what was reserved was given back; from 1. */
  readonly attempt: number;
  /** Since when a part is held while others hold the rest. */
  readonly heldUpSinceMs?: number;
  /** What was reserved is given back, and not asked for again before this. */
  readonly againAtMs?: number;
}

/**
 * The few facts that cannot be read back from Ray. Keys are targets (`prefill-0`, `proxy`).
 * Plain JSON: it is carried over continue-as-new, where Map and Set would be lost.
 */
export interface Memory {
  /** Highest generation ever asked for; never reused. */
  readonly generations: Readonly<Record<string, number>>;
  /** Generation whose start action succeeded: when Ray does not know it any more, it died. */
  readonly started: Readonly<Record<string, number>>;
  /** When that start action had succeeded. */
  readonly startedAtMs: Readonly<Record<string, number>>;
  /** Generation that was stopped on purpose, of a replica that is not gone yet: what is left of it is never started again. */
  readonly stopped: Readonly<Record<string, number>>;
  /** Generation that a canary went through, or that serves since before there were any. */
  readonly proven: Readonly<Record<string, number>>;
  /** Canaries that failed, of replicas that are there; bounded, newest last. */
  readonly canaries: readonly FailedCanary[];
  readonly failures: Readonly<Record<string, RecordedFailure>>;
  /** When replacements were asked for, within the budget's window. */
  readonly restarts: Readonly<Record<string, readonly number[]>>;
  /** Incarnations (or `proxy`) whose drain ended, by being idle or by its deadline. */
  readonly drained: readonly string[];
  /** Actors that exist and do not answer, by incarnation: when that was seen first. */
  readonly lostSinceMs: Readonly<Record<string, number>>;
  /** Replicas beyond the wanted ones that a rollout made to have something to spare; absent when there never was one. */
  readonly surge?: readonly string[];
  /** The newest revision with which the job was READY. */
  readonly settledRevision?: number;
  readonly membershipGeneration: number;
  /** The running proxy could not be told of its members, so many times in a row; absent once it was. */
  readonly untold?: { readonly message: string; readonly atMs: number; readonly count: number };
  readonly kvIp?: string;
  /** Ray's address of the files that were uploaded for this job: what runs later must see the same. */
  readonly package?: string;
  /** What the engines' command told of their vLLM. Absent in jobs that were begun before it was asked. */
  readonly engine?: EngineVersion;
  readonly proxyCommand?: { readonly generation: number; readonly command: ProxyCommand };
  /** Whom the command line of another program's proxy named that runs: a newer one may be rendered already. */
  readonly proxyStarted?: { readonly generation: number; readonly members: readonly Member[] };
  /** READY was reached once: from then on failures are healed instead of failing the job. */
  readonly served: boolean;
  /** Present while a first deployment cannot have all that it wants at once. */
  readonly reserving?: Reserving;
  readonly deployStartedAtMs: number;
  readonly swept: boolean;
}

export const emptyMemory = (nowMs: number): Memory => ({
  generations: {},
  started: {},
  startedAtMs: {},
  stopped: {},
  proven: {},
  canaries: [],
  failures: {},
  restarts: {},
  drained: [],
  lostSinceMs: {},
  membershipGeneration: 0,
  served: false,
  deployStartedAtMs: nowMs,
  swept: false,
});

/** What an earlier version of ours remembered, with this one's defaults for what that did not know yet. */
export const completeMemory = (known: Partial<Memory>, nowMs: number): Memory => ({
  ...emptyMemory(nowMs),
  // What was started before there were canaries serves, or is about to: nothing of it is taken out of the proxy.
  proven: known.started ?? {},
  ...known,
});
