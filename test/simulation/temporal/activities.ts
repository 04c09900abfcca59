import { CancelledFailure } from "@temporalio/common";
import type { Failure } from "../../../src/domain/errors.ts";
import { PdjobError, isRetryable } from "../../../src/domain/errors.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import { Cancellation } from "./cancellation.ts";
import type { ActivityPolicy } from "./options.ts";
import type { Worker } from "./worker.ts";

/** From a task that is ready to a worker that has it. */
const dispatchMs = [2, 30] as const;
/** A worker heartbeats once a second, so its last sign of life is up to that old. */
const heartbeatEveryMs = 1_000;
/** A server that is back fires the timers that are over. */
const restartedServerMs = 1_000;

export type Outcome =
  | { readonly kind: "done"; readonly result: unknown }
  | { readonly kind: "failed"; readonly failure: Failure; readonly retryable: boolean }
  | { readonly kind: "timedOut"; readonly message: string; readonly cause?: Failure }
  | { readonly kind: "cancelled" };

/** One activity of a workflow, over all its attempts. */
export interface Task {
  readonly type: string;
  /** What the workflow handed over. Nobody changes it, so nobody needs a copy; what a run hands to the next is copied. */
  readonly input: unknown;
  readonly policy: ActivityPolicy;
  readonly scheduledAtMs: number;
  readonly settle: (outcome: Outcome) => void;
  attempts: number;
  /** When its next attempt became due. */
  dueAtMs: number;
  current?: Attempt | undefined;
  /** What the last attempt that ended failed with: it explains a timeout. */
  lastFailure?: Failure;
  isOpen: boolean;
  isCancelRequested: boolean;
}

/** One try at an activity, in one worker; also the place whose clock its code reads. */
export interface Attempt {
  readonly task: Task;
  readonly number: number;
  readonly worker: Worker;
  readonly cancellation: Cancellation;
  readonly scheduledAtMs: number;
  readonly beganAtMs: number;
  /** Since when it has not slept: when its newest look at the cluster began. */
  awakeSinceMs: number;
  nowMs(): number;
  elapsedMs(): number;
}

/** Told when a workflow schedules an activity, and when the server closes it. */
export type OnTask = (task: Task, change: "opened" | "closed") => void;

interface Surroundings {
  /** Those that can be given something to do. */
  readonly workers: () => readonly Worker[];
  /** Is the server there to notice that a time is over? */
  readonly isUp: () => boolean;
  readonly onTask: OnTask;
}

/** The server's table of activities: dispatch, heartbeat and other timeouts, retries, cancellation. */
export function createActivityTable(
  clock: Clock,
  random: Random,
  { workers, isUp, onTask }: Surroundings,
) {
  const waiting = new Set<Task>();

  function schedule(request: Pick<Task, "type" | "input" | "policy" | "settle">): Task {
    const task: Task = {
      ...request,
      scheduledAtMs: clock.nowMs(),
      attempts: 0,
      dueAtMs: clock.nowMs(),
      isOpen: true,
      isCancelRequested: false,
    };
    onTask(task, "opened");
    offer(task, 0);
    if (task.policy.scheduleToCloseMs < Infinity) expireAfter(task, task.policy.scheduleToCloseMs);
    return task;
  }

  /** Whether it is being performed, or waits for a worker. */
  function expireAfter(task: Task, delayMs: number): void {
    clock.after(delayMs, () => {
      if (!task.isOpen) return;
      if (!isUp()) return expireAfter(task, restartedServerMs);
      const { current } = task;
      close(task, timedOut(task, "schedule-to-close"));
      if (current) abandon(current);
    });
  }

  function offer(task: Task, delayMs: number): void {
    task.dueAtMs = clock.nowMs() + delayMs;
    clock.after(delayMs + random.between(...dispatchMs), () => dispatch(task));
  }

  function dispatch(task: Task): void {
    if (!task.isOpen || task.current) return;
    const worker = random.pick(workers());
    if (!worker) return void waiting.add(task);
    waiting.delete(task);
    task.attempts += 1;
    const attempt: Attempt = {
      task,
      number: task.attempts,
      worker,
      cancellation: new Cancellation(),
      scheduledAtMs: task.dueAtMs,
      beganAtMs: clock.nowMs(),
      awakeSinceMs: -Infinity,
      nowMs: worker.nowMs,
      elapsedMs: clock.nowMs,
    };
    task.current = attempt;
    const timer = expire(attempt);
    worker.execute(attempt, (outcome) => {
      timer?.cancel();
      report(attempt, outcome);
    });
  }

  function expire(attempt: Attempt): Timer | undefined {
    const { startToCloseMs } = attempt.task.policy;
    if (startToCloseMs === Infinity) return undefined;
    return clock.after(startToCloseMs, () => timeOut(attempt, "start-to-close"));
  }

  /** What a worker says of an attempt that is not the current one any more is ignored, as the server does. */
  function report(attempt: Attempt, outcome: Outcome): void {
    const { task } = attempt;
    if (!task.isOpen || task.current !== attempt) return;
    task.current = undefined;
    if (outcome.kind === "failed") task.lastFailure = outcome.failure;
    const final =
      outcome.kind === "done" || (outcome.kind === "failed" && !outcome.retryable)
        ? outcome
        : task.isCancelRequested
          ? outcome.kind === "timedOut"
            ? outcome
            : ({ kind: "cancelled" } as const)
          : undefined;
    if (final) return close(task, final);
    const backoffMs = Math.min(
      task.policy.firstRetryMs * task.policy.retryFactor ** (task.attempts - 1),
      task.policy.retryMaxMs,
    );
    const tooLate =
      clock.nowMs() + backoffMs > task.scheduledAtMs + task.policy.scheduleToCloseMs ||
      task.attempts >= task.policy.attemptsMax;
    if (tooLate) close(task, outcome);
    else offer(task, backoffMs);
  }

  function timeOut(attempt: Attempt, which: string): void {
    report(attempt, timedOut(attempt.task, which));
    abandon(attempt);
  }

  /** The server does not know this attempt any more: its next heartbeat says so, if it ever gets through. */
  function abandon(attempt: Attempt): void {
    attempt.worker.whenConnected(random.between(0, heartbeatEveryMs), () => abort(attempt));
  }

  function close(task: Task, outcome: Outcome): void {
    task.isOpen = false;
    waiting.delete(task);
    onTask(task, "closed");
    task.settle(outcome);
  }

  function cancel(task: Task): void {
    if (!task.isOpen || task.isCancelRequested) return;
    task.isCancelRequested = true;
    const { current } = task;
    if (!current) return close(task, { kind: "cancelled" });
    current.worker.whenConnected(random.between(0, heartbeatEveryMs), () => abort(current));
  }

  /** The workflow is closed: nobody waits for this activity any more. */
  function forget(task: Task): void {
    if (!task.isOpen) return;
    task.isOpen = false;
    waiting.delete(task);
    onTask(task, "closed");
    if (task.current) abandon(task.current);
  }

  /** A worker went silent: what it was doing is given to another one after the heartbeat timeout, dead or not. */
  function missed(worker: Worker): void {
    for (const attempt of worker.attempts) {
      const lastBeatAgoMs = random.between(0, heartbeatEveryMs);
      clock.after(attempt.task.policy.heartbeatMs - lastBeatAgoMs, () => {
        if (!worker.isConnected()) timeOut(attempt, "heartbeat");
      });
    }
  }

  const workerCame = (): void => {
    for (const task of waiting) clock.after(random.between(...dispatchMs), () => dispatch(task));
  };

  return { schedule, cancel, forget, missed, workerCame };
}

export type ActivityTable = ReturnType<typeof createActivityTable>;

function timedOut({ type, lastFailure: cause }: Task, which: string): Outcome {
  return { kind: "timedOut", message: `${type}: ${which} timeout`, ...(cause && { cause }) };
}

/** One for all: taking a stack for each costs more than what it interrupts. */
const cancelled = new CancelledFailure("the activity was cancelled");

const abort = ({ cancellation }: Attempt): void => cancellation.abort(cancelled);

/** As `conductActivity` translates: a code of domain/errors.ts, retryable as the table there says. */
export function outcomeOf(error: unknown, { cancellation }: Attempt): Outcome {
  if (cancellation.aborted) return { kind: "cancelled" };
  if (!(error instanceof PdjobError)) {
    const message = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    return { kind: "failed", failure: { code: "Internal", message }, retryable: true };
  }
  const { code, message } = error;
  return { kind: "failed", failure: { code, message }, retryable: isRetryable[code] };
}
