import { defineQuery, defineSignal, defineUpdate } from "@temporalio/workflow";
import type { Role } from "../domain/role.ts";
import type { ScaleRequest } from "../domain/scale.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { JobStatus } from "../domain/status.ts";
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
}

/** Replaces a replica, or the proxy, by a new generation, and gives it its whole restart budget again. */
export const restartUpdate = defineUpdate<RestartAnswer, [RestartRequest]>("restartReplica");

export interface RestartAnswer {
  readonly replica: string;
  /** This generation and older ones are replaced. */
  readonly retired: number;
}

/** Drain, then tear everything down. Answers as soon as the wish is recorded. */
export const stopUpdate = defineUpdate<{ readonly stopping: true }, []>("stop");

export const statusQuery = defineQuery<JobStatus>("status");

/** What the workflow returns when it was stopped on request. */
export interface JobResult {
  readonly phase: "STOPPED";
}
