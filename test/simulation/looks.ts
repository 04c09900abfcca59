import type { Attempt } from "./temporal/activities.ts";

/**
 * Activities that do nothing but look until the cluster is another, and how long they may go without: whether a group
 * stays INFEASIBLE takes a second look.
 */
const looksOnlyMs: Readonly<Record<string, number>> = {
  watchJob: Infinity,
  waitHealthy: Infinity,
  reservePlacementGroup: 1_500,
};

/** When an activity's deadline is over, on the simulation's clock; it counts on its job's own. */
function deadlineOf({ task, scheduledAtMs, beganAtMs }: Attempt): number {
  const { action } = task.input as { readonly action?: { readonly deadlineMs?: number } };
  return beganAtMs + (action?.deadlineMs ?? Infinity) - scheduledAtMs;
}

/** When an activity that found nothing new looks again at the latest; undefined for one that does more than look. */
export function looksAgainMs(attempt: Attempt, nowMs: number): number | undefined {
  const longestMs = looksOnlyMs[attempt.task.type];
  return longestMs === undefined ? undefined : Math.min(nowMs + longestMs, deadlineOf(attempt) + 1);
}
