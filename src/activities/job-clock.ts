import { activityInfo } from "@temporalio/activity";

/**
 * The time of a job as an activity knows it: when the server scheduled this attempt, plus what has passed here since it
 * began. The workflow's own times are the server's, and so is every deadline, so a worker whose clock is wrong or jumps
 * neither ends a drain early nor makes the workflow wait for a moment that is long past.
 *
 * Call it first in an activity, and the answer as often as needed. It is behind by what the attempt waited for a worker.
 */
export function startJobClock(): () => number {
  const { currentAttemptScheduledTimestampMs } = activityInfo();
  const beganMs = performance.now();
  return () => currentAttemptScheduledTimestampMs + Math.round(performance.now() - beganMs);
}

/**
 * When a wait that may take `forMs` ends. Not before the planner's deadline, and not before that long after the wait was
 * asked for: a plan that itself waited for a worker counts from too early.
 */
export const latestMs = (deadlineMs: number, forMs: number): number =>
  Math.max(deadlineMs, activityInfo().scheduledTimestampMs + forMs);
