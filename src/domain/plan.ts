import type { Action, InFlightAction } from "./action.ts";
import type { Failure } from "./errors.ts";
import type { Desired, Memory, Reserving } from "./memory.ts";
import type { Observed } from "./observed.ts";
import type { Pairing } from "./revision.ts";
import type { JobSpec } from "./spec.ts";
import type { JobPhase, ProxyStatus, ReplicaStatus } from "./status.ts";

/** Everything that a decision may depend on, time included. */
export interface PlanInput {
  readonly spec: JobSpec;
  readonly desired: Desired;
  readonly memory: Memory;
  readonly observed: Observed;
  readonly inFlight: readonly InFlightAction[];
  readonly nowMs: number;
}

/** How the job stands, derived from what was observed. */
export interface JobView {
  readonly phase: JobPhase;
  readonly reason: string;
  readonly replicas: readonly ReplicaStatus[];
  readonly proxy: ProxyStatus;
}

export interface Plan {
  /** To start now. None of them touches a target that an action in flight is working on. */
  readonly actions: readonly Action[];
  /** Keys of actions in flight that are no longer wanted. */
  readonly cancel: readonly string[];
  readonly view: JobView;
  /** What memory is to hold from now on about actors that do not answer. */
  readonly lostSinceMs: Memory["lostSinceMs"];
  /** The same of a first deployment's reservations; absent when there is nothing to remember. */
  readonly reserving?: Reserving;
  /** What is wanted is to hold this from now on: engines of another config were found, and who may be their partner. */
  readonly pairings?: readonly Pairing[];
  /** Plan again at this time even if nothing changes (a back-off ends). */
  readonly wakeAtMs?: number;
  /** Set when the first deployment cannot succeed: the job is to be torn down and end FAILED. */
  readonly failure?: Failure;
  /** Set when the new revision does not run: the job is to go back to the one before. Why, in one sentence. */
  readonly rollback?: string;
  /** Teardown is complete. */
  readonly finished?: true;
}
