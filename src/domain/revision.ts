import type { JobSpec } from "./spec.ts";

/** Revisions kept for `history` and `undo`; older ones are forgotten. */
export const revisionsMax = 10;

/** A config that the job had, or has. Plain JSON. */
export interface Revision {
  /** 1 for the config that the job was started with; never reused. */
  readonly number: number;
  readonly atMs: number;
  /** How it came about: `start`, `apply`, `undo to 1`, `rollback to 1: …`. */
  readonly why: string;
  readonly spec: JobSpec;
}

/** The revision of that number, or the one before the newest; undefined when it is not kept. */
export const revisionAt = (
  revisions: readonly Revision[],
  number: number | undefined,
): Revision | undefined =>
  number === undefined ? revisions.at(-2) : revisions.find((one) => one.number === number);

/** The change from one revision to another, as far as the planner needs to know it. */
export interface Rollout {
  readonly revision: number;
  /** What to go back to by itself when the new engines do not run; absent = nothing. */
  readonly previous?: number;
  /** By target, the generations when it began: newer ones are of the new revision. */
  readonly since: Readonly<Record<string, number>>;
  readonly paused?: true;
  /** Somebody accepted that nothing serves for a while. */
  readonly outage?: true;
}

/** Engines that are meant to hand KV to each other, by their `kvRevision`. */
export interface Pairing {
  readonly number: number;
  readonly prefill: string;
  readonly decode: string;
}

interface Paired {
  readonly pairings?: readonly number[];
}

/** Were these two ever meant to hand KV to each other? */
export const mayPair = (one: Paired, other: Paired): boolean =>
  one.pairings === undefined ||
  other.pairings === undefined ||
  one.pairings.some((number) => other.pairings?.includes(number));
