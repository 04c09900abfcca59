import { defineQuery, defineSignal, defineUpdate } from "@temporalio/workflow";
import type { ApplyRequest } from "../domain/apply.ts";
import type { Revision } from "../domain/revision.ts";
import type { Role } from "../domain/role.ts";
import type { ScaleRequest } from "../domain/scale.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { JobStatus } from "../domain/status.ts";
import type { AbortRequest, UndoRequest } from "../domain/undo.ts";
import type { CarriedState } from "./state.ts";

/** Input of `PDJobWorkflow`. One object, additive fields only: scripts outlive releases. */
export interface JobInput {
  readonly spec: JobSpec;
  /** Present on a run that continues an earlier one. */
  readonly state?: CarriedState;
  /** Continue as new past this many history events, or on the server's own hint. Default 2,000. */
  readonly historyEventsMax?: number;
}

/** Fire and forget, for ops scripts: durable as soon as the server answers, even with no worker up. */
export const scaleToSignal = defineSignal<[ScaleRequest]>("scaleTo");

/** Rejected at once, with the numbers, when it can never fit. Answers with the wish as it now stands. */
export const scaleUpdate = defineUpdate<ScaleAnswer, [ScaleRequest]>("scale");

export interface ScaleAnswer {
  /** Bumped by every accepted change; `status` reports READY only for the newest. */
  readonly desiredGeneration: number;
  readonly desired: Readonly<Record<Role, number>>;
}

/** Payload of update `restartReplica`: `prefill-0`, …, or `proxy`. */
export interface RestartRequest {
  readonly replica: string;
  /** Nothing serving for a while is accepted: it makes way at once. */
  readonly outage?: boolean;
}

/**
 * Replaces a replica, or the proxy, by a new generation, and gives it its whole restart budget again. A replica makes way
 * once another of its role serves.
 */
export const restartUpdate = defineUpdate<RestartAnswer, [RestartRequest]>("restartReplica");

export interface RestartAnswer {
  readonly replica: string;
  /** This generation and older ones are replaced. */
  readonly retired: number;
}

/** The job is to be as another config says: in place where that is possible, replica by replica where engines change. */
export const applyUpdate = defineUpdate<ApplyAnswer, [ApplyRequest]>("apply");

/** Goes back to an earlier revision, as a new one: without input to the one before the newest. */
export const undoUpdate = defineUpdate<ApplyAnswer, [UndoRequest]>("undo");

/** Gives up a change that is under way, for the newest revision that has served whole. */
export const abortUpdate = defineUpdate<AbortAnswer, [AbortRequest]>("abort");

export interface AbortAnswer extends ApplyAnswer {
  /** Number of the revision that the new one repeats. */
  readonly backTo: number;
}

export interface ApplyAnswer {
  /** Number of the revision that is wanted now; as before when nothing changed. */
  readonly revision: number;
  readonly desiredGeneration: number;
}

/** Stops an update where it is, or lets it go on. */
export const pauseUpdate = defineUpdate<{ readonly paused: boolean }, [PauseRequest]>("pause");

export interface PauseRequest {
  readonly paused: boolean;
}

/** The configs that the job had lately, the newest last. */
export const revisionsQuery = defineQuery<readonly Revision[]>("revisions");

/** Drain, then tear everything down. Answers as soon as the wish is recorded. */
export const stopUpdate = defineUpdate<{ readonly stopping: true }, []>("stop");

export const statusQuery = defineQuery<JobStatus>("status");

/** What the workflow returns when it was stopped on request. */
export interface JobResult {
  readonly phase: "STOPPED";
}
