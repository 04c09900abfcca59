import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  TimeoutFailure,
} from "@temporalio/common";
import type { Failure } from "../../../src/domain/errors.ts";
import type { ActivityOptions } from "@temporalio/workflow";
import { enter, settled } from "../clock.ts";
import type { Clock, Timer } from "../clock.ts";
import type { ActivityTable, Outcome, Task } from "./activities.ts";
import { policyOf } from "./options.ts";
import { CancellationScope, ContinueAsNew, cancelled, scopes } from "./workflow.ts";
import type { Handler } from "./workflow.ts";

interface Condition {
  readonly holds: () => boolean;
  readonly resolve: () => void;
}

/** One run of a workflow, as its own code sees it. */
export interface Run {
  readonly conditions: Set<Condition>;
  readonly handlers: Map<string, Handler>;
  readonly historyLength: number;
  startTimer(delayMs: number, fired: () => void): Timer;
  runActivity(request: ActivityRequest): Promise<unknown>;
}

interface ActivityRequest {
  readonly type: string;
  readonly args: readonly unknown[];
  readonly options: ActivityOptions;
  readonly scope: CancellationScope;
}

/** Where workflow code runs; its clock stands still during a workflow task. */
export interface WorkflowPlace {
  readonly run: Run;
  nowMs(): number;
  elapsedMs(): number;
}

export type Ending =
  | { readonly kind: "completed"; readonly result: unknown }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "cancelled" }
  | { readonly kind: "continued"; readonly inputJson: string };

interface RunSetup {
  readonly clock: Clock;
  readonly activities: ActivityTable;
  readonly workflow: (input: never) => Promise<unknown>;
  readonly inputJson: string;
  /** Something came in: a workflow task is due. */
  readonly onEvent: () => void;
  readonly onEnd: (ending: Ending) => void;
}

/** Events of history that a task and an activity cost. */
const eventsPerTask = 3;
const eventsPerActivity = 3;

/** Drives one run: events wait in its inbox until a worker performs a workflow task. */
export function createRun({ clock, activities, workflow, inputJson, onEvent, onEnd }: RunSetup) {
  let historyLength = 1;
  let taskAtMs = clock.nowMs();
  let ending: Ending | undefined;
  let inbox: { readonly isMessage: boolean; readonly deliver: () => void }[] = [];
  const tasks = new Set<Task>();
  const timers = new Set<Timer>();

  const run: Run = {
    conditions: new Set(),
    handlers: new Map(),
    get historyLength() {
      return historyLength;
    },
    startTimer(delayMs, fired) {
      historyLength += 2;
      const timer = clock.after(Math.max(1, delayMs), () => receive(fired));
      timers.add(timer);
      return timer;
    },
    runActivity: ({ type, args, options, scope }) =>
      new Promise((resolve, reject) => {
        if (scope.isCancelled) return reject(cancelled);
        historyLength += eventsPerActivity;
        const task = activities.schedule({
          type,
          input: args[0],
          policy: policyOf(options),
          settle: (outcome) =>
            receive(() => {
              tasks.delete(task);
              forget();
              settle(type, outcome, resolve, reject);
            }),
        });
        tasks.add(task);
        const forget = scope.onCancel(() => {
          activities.cancel(task);
          if (task.policy.triesCancel) reject(new CancelledFailure(`${type} was cancelled`));
        });
      }),
  };
  const root = new CancellationScope({ parent: null });
  const at: WorkflowPlace = { run, nowMs: () => taskAtMs, elapsedMs: () => taskAtMs };

  function receive(deliver: () => void, isMessage = false): void {
    inbox.push({ isMessage, deliver });
    onEvent();
  }

  function begin(): void {
    void workflow(JSON.parse(inputJson) as never).then(
      (result) => (ending = { kind: "completed", result }),
      (error: unknown) => (ending = endingOf(error)),
    );
  }
  inbox.push({ isMessage: false, deliver: begin });

  return {
    /** Messages go first, as in the SDK; then conditions are looked at until none holds. */
    async perform(): Promise<void> {
      taskAtMs = clock.nowMs();
      historyLength += eventsPerTask;
      const first = inbox.filter(({ deliver }) => deliver === begin);
      const events = inbox.filter(({ deliver }) => deliver !== begin);
      inbox = [];
      const ordered = [
        ...first,
        ...events.filter(({ isMessage }) => isMessage),
        ...events.filter(({ isMessage }) => !isMessage),
      ];
      enter(at);
      await scopes.run(root, async () => {
        for (const { deliver } of ordered) deliver();
        await settled();
        for (;;) {
          const ready = [...run.conditions].filter(({ holds }) => holds());
          if (ready.length === 0) break;
          for (const { resolve } of ready) resolve();
          await settled();
        }
      });
      scopes.disable();
      if (ending) onEnd(ending);
    },
    isIdle: () => inbox.length === 0,
    receive,
    handler: (name: string): Handler | undefined => run.handlers.get(name),
    cancel: () => receive(() => root.cancel()),
    countMessage: () => (historyLength += 1),
    historyLength: () => historyLength,
    /** Timers and activities do not outlive a run. No event is lost: a task takes all that are there. */
    close(): void {
      for (const timer of timers) timer.cancel();
      for (const task of tasks) activities.forget(task);
    },
  };
}

function settle(
  type: string,
  outcome: Outcome,
  resolve: (value: unknown) => void,
  reject: (error: Error) => void,
): void {
  if (outcome.kind === "done") {
    return resolve(outcome.result);
  }
  const cause =
    outcome.kind === "cancelled"
      ? new CancelledFailure(`${type} was cancelled`)
      : outcome.kind === "timedOut"
        ? timedOut(outcome.message, outcome.cause)
        : failed(outcome.failure, !outcome.retryable);
  reject(
    new ActivityFailure(
      "Activity task failed",
      type,
      undefined,
      "RETRY_POLICY_NOT_SET",
      undefined,
      cause,
    ),
  );
}

const failed = ({ code, message }: Failure, nonRetryable: boolean): ApplicationFailure =>
  ApplicationFailure.create({ type: code, message, nonRetryable });

/** Behind a timeout is what the last attempt failed with. */
function timedOut(message: string, cause: Failure | undefined): TimeoutFailure {
  return Object.assign(new TimeoutFailure(message, undefined, "HEARTBEAT"), {
    ...(cause && { cause: failed(cause, false) }),
  });
}

function endingOf(error: unknown): Ending {
  if (error instanceof ContinueAsNew)
    return { kind: "continued", inputJson: JSON.stringify(error.input) };
  if (error instanceof CancelledFailure) return { kind: "cancelled" };
  if (error instanceof ApplicationFailure)
    return { kind: "failed", code: error.type ?? "", message: error.message };
  // Any other error fails the workflow task, again and again: the job would be stuck.
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { kind: "failed", code: "WorkflowTaskFailed", message };
}
