import { changeProblem, isOutage, stopping, withCounts, withScaled } from "./apply.ts";
import type { Changing } from "./apply.ts";
import { revisionAt, revisionsMax } from "./revision.ts";
import type { Revision } from "./revision.ts";
import { isObject } from "./spec-shape.ts";

/** Payload of update `undo`. */
export interface UndoRequest {
  /** Number of the revision to go back to; absent = the one before the newest. */
  readonly to?: number;
  readonly outage?: true;
}

/** Payload of update `abort`. */
export type AbortRequest = Pick<UndoRequest, "outage">;

/** The job as a way back finds it. */
export interface Returning extends Changing {
  readonly revisions: readonly Revision[];
  /** The newest with which the job was READY. */
  readonly settledRevision?: number | undefined;
}

/** Why there is no such way back, or undefined when there is. */
export function undoProblem(payload: unknown, job: Returning): string | undefined {
  // Without any input it is the one before: `temporal workflow update execute --name undo`.
  const request = payload ?? {};
  if (!isUndoRequest(request))
    return 'An undo request is {"to"?:N,"outage"?:true}, with the number of a revision as `history` tells it.';
  const { to, outage } = request;
  const target = revisionAt(job.revisions, to);
  if (target) return changeProblem(target.spec, outage, job);
  const known = job.revisions.slice(0, -1).map(({ number }) => number);
  const list =
    known.length > 0
      ? `Kept are ${known.join(", ")}, of the last ${revisionsMax}`
      : "It has had one config";
  return `Job ${job.spec.name} has no ${to === undefined ? "earlier revision" : `revision ${to}`}. ${list}.`;
}

const isUndoRequest = (payload: unknown): payload is UndoRequest =>
  isObject(payload) &&
  (payload["to"] === undefined || Number.isInteger(payload["to"])) &&
  isOutage(payload["outage"]);

/** Where `abort` goes back to: a change that is under way is given up for what last served whole. */
export const abortTarget = ({ revisions, settledRevision }: Returning): Revision | undefined =>
  revisions.find(({ number }) => number === settledRevision);

/** Why there is nothing to abort, or undefined when there is. */
export function abortProblem(payload: unknown, job: Returning): string | undefined {
  const { spec, desired, revisions, settledRevision } = job;
  const request = payload ?? {};
  if (!isAbortRequest(request)) return 'An abort request is {"outage"?:true}.';
  if (desired.stop) return stopping(job);
  const newest = revisions.at(-1)?.number ?? 1;
  if (settledRevision === newest)
    return `Revision ${newest} of job ${spec.name} serves already: there is nothing to abort. Go back with undo.`;
  const target = abortTarget(job);
  if (!target)
    return `Job ${spec.name} has not served whole yet, so there is nothing to go back to. Stop it, or apply another config.`;
  const earlier = withScaled(target.spec, job);
  if (isSame(earlier, withCounts(spec, desired.replicas)))
    return `Job ${spec.name} goes back to revision ${target.number} already, as revision ${newest}.`;
  return changeProblem(earlier, request.outage, job);
}

const isAbortRequest = (payload: unknown): payload is AbortRequest =>
  isObject(payload) && isOutage(payload["outage"]);

const isSame = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other);
