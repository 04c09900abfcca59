import type { WorkflowExecutionDescription } from "@temporalio/client";

export interface PendingFailure {
  readonly activity: string;
  readonly attempt: number;
  readonly message: string;
  /**
   * Absent when its present attempt may well succeed. An estimate: the server keeps its last failure only, so the waits
   * between the earlier ones are added up.
   */
  readonly failingSinceMs?: number;
}

type Pending = NonNullable<WorkflowExecutionDescription["raw"]["pendingActivities"]>[number];
type Time = NonNullable<Pending["lastAttemptCompleteTime"]>;

/** Temporal's PENDING_ACTIVITY_STATE_STARTED; the package that names it is not one of ours. */
const started = 2;
/** The agent answers a look within 20 s or the attempt fails: one that has run for longer works. */
const lookMaxMs = 25_000;

/** Steps that failed and are being retried, with why. */
export function pendingFailures(
  activities: readonly Pending[],
  nowMs: number,
): readonly PendingFailure[] {
  return activities.flatMap((one) => {
    const message = one.lastFailure?.message;
    if (!message) return [];
    const failure = { activity: one.activityType?.name ?? "", attempt: one.attempt ?? 0, message };
    const failingSinceMs = isFailing(one, nowMs) ? firstFailureMs(one) : undefined;
    return [failingSinceMs === undefined ? failure : { ...failure, failingSinceMs }];
  });
}

/** A first failure that is being tried again is no news yet: a worker that restarts leaves one behind. */
function isFailing({ state, attempt, lastStartedTime }: Pending, nowMs: number): boolean {
  if (state !== started) return true;
  return (attempt ?? 0) > 2 && lastStartedTime ? nowMs - toMs(lastStartedTime) < lookMaxMs : false;
}

function firstFailureMs({
  attempt,
  activityOptions,
  lastAttemptCompleteTime,
}: Pending): number | undefined {
  if (!lastAttemptCompleteTime) return undefined;
  const { initialInterval, maximumInterval, backoffCoefficient } =
    activityOptions?.retryPolicy ?? {};
  const longestMs = maximumInterval ? toMs(maximumInterval) : Number.POSITIVE_INFINITY;
  let waitMs = initialInterval ? Math.min(toMs(initialInterval), longestMs) : 0;
  let sinceMs = toMs(lastAttemptCompleteTime);
  // Of n attempts the newest is to come or under way, and n - 1 have failed, with n - 2 waits between them.
  for (let left = (attempt ?? 0) - 2; left > 0; left--) {
    sinceMs -= waitMs;
    waitMs = Math.min(waitMs * (backoffCoefficient ?? 1), longestMs);
  }
  return Math.round(sinceMs);
}

/** Seconds come as a number or as an object that stands for one. */
const toMs = ({ seconds, nanos }: Time): number =>
  Number(String(seconds ?? 0)) * 1_000 + (nanos ?? 0) / 1_000_000;
