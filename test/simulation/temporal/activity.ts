// Stands in for `@temporalio/activity` in the simulation: what src/activities uses of the SDK, on virtual time.
import { currentPlace, enter } from "../clock.ts";
import type { Attempt } from "./activities.ts";
import type { Cancellation } from "./cancellation.ts";

export function currentAttempt(): Attempt {
  const place = currentPlace();
  if (!place || !("task" in place)) throw new Error("activity code ran outside of an activity");
  return place as Attempt;
}

/** Pending for ever when the worker dies meanwhile; rejected when the attempt is cancelled. */
export function sleep(delayMs: number): Promise<void> {
  const attempt = currentAttempt();
  const signal = attempt.cancellation;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.cancel();
      enter(attempt);
      reject(signal.reason as Error);
    };
    const timer = attempt.worker.pause(attempt, delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
  });
}

export const cancellationSignal = (): Cancellation => currentAttempt().cancellation;
/** Both are the server's times. */
export function activityInfo() {
  const { task, scheduledAtMs } = currentAttempt();
  return {
    scheduledTimestampMs: task.scheduledAtMs,
    currentAttemptScheduledTimestampMs: scheduledAtMs,
  };
}

/** The simulated worker heartbeats for all its attempts, as `conductActivity` does. */
export const heartbeat = (): void => undefined;
