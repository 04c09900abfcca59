// Stands in for `@temporalio/workflow` in the simulation (see the alias in vitest.config.ts): the part of the SDK that
// src/workflows uses, on the simulated server. So the workflow that is simulated is the very one that ships.
import { AsyncLocalStorage } from "node:async_hooks";
import { ActivityFailure, CancelledFailure } from "@temporalio/common";
import type { ActivityOptions } from "@temporalio/workflow";
import { currentPlace } from "../clock.ts";
import type { WorkflowPlace } from "./execution.ts";
import { toMs } from "./options.ts";

export {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  TimeoutFailure,
} from "@temporalio/common";

function here(): WorkflowPlace {
  const place = currentPlace();
  if (!place || !("run" in place)) throw new Error("workflow code ran outside of a workflow");
  return place as WorkflowPlace;
}

/** The current scope. It is off outside of workflow tasks, as it makes every promise dearer. */
export const scopes = new AsyncLocalStorage<CancellationScope>();

function currentScope(): CancellationScope {
  const scope = scopes.getStore();
  if (!scope) throw new Error("workflow code ran outside of a scope");
  return scope;
}

/** One for all: taking a stack for each costs more than what it interrupts. */
export const cancelled = new CancelledFailure("the scope was cancelled");

export class CancellationScope {
  readonly cancelRequested: Promise<never>;
  readonly cancellable: boolean;
  isCancelled = false;
  readonly #onCancel = new Set<() => void>();

  /** `parent`: null for a run's own scope, else the current one. */
  constructor({
    cancellable = true,
    parent,
  }: { readonly cancellable?: boolean; readonly parent?: null } = {}) {
    this.cancellable = cancellable;
    this.cancelRequested = new Promise((_, reject) => this.#onCancel.add(() => reject(cancelled)));
    this.cancelRequested.catch(() => undefined);
    if (parent === undefined)
      currentScope().onCancel(() => {
        if (this.cancellable) this.cancel();
      });
  }

  static current = (): CancellationScope => currentScope();
  static nonCancellable = <T>(run: () => Promise<T>): Promise<T> =>
    new CancellationScope({ cancellable: false }).run(run);

  run<T>(run: () => Promise<T>): Promise<T> {
    return scopes.run(this, run);
  }

  cancel(): void {
    if (this.isCancelled) return;
    this.isCancelled = true;
    for (const notify of this.#onCancel) notify();
  }

  onCancel(notify: () => void): () => void {
    this.#onCancel.add(notify);
    return () => void this.#onCancel.delete(notify);
  }
}

export const isCancellation = (error: unknown): boolean =>
  error instanceof CancelledFailure ||
  (error instanceof ActivityFailure && isCancellation(error.cause));

/** Pending until `holds`, or false after `timeout`. */
export function condition(
  holds: () => boolean,
  timeout?: string | number,
): Promise<boolean | void> {
  const { run } = here();
  const scope = currentScope();
  return new Promise((resolve, reject) => {
    if (holds()) return resolve(timeout === undefined ? undefined : true);
    if (scope.isCancelled) return reject(cancelled);
    const done = (settle: () => void): void => {
      run.conditions.delete(waiting);
      forget();
      timer?.cancel();
      settle();
    };
    const waiting = {
      holds,
      resolve: () => done(() => resolve(timeout === undefined ? undefined : true)),
    };
    const forget = scope.onCancel(() => done(() => reject(cancelled)));
    const timer =
      timeout === undefined
        ? undefined
        : run.startTimer(toMs(timeout), () => done(() => resolve(false)));
    run.conditions.add(waiting);
  });
}

export async function sleep(duration: string | number): Promise<void> {
  await condition(() => false, duration);
}

/** Each property is a function that runs the activity of that name, with `executeWithOptions` beside it. */
export function proxyActivities(defaults: ActivityOptions): Record<string, unknown> {
  const execute = (type: string, options: ActivityOptions, args: unknown[]): Promise<unknown> => {
    const { run } = here();
    const scope = currentScope();
    return run.runActivity({ type, args, options: { ...defaults, ...options }, scope });
  };
  return new Proxy(
    {},
    {
      get: (_, type: string) =>
        Object.assign((...args: unknown[]) => execute(type, {}, args), {
          executeWithOptions: (options: ActivityOptions, args: unknown[]) =>
            execute(type, options, args),
        }),
    },
  );
}

/** Thrown by `continueAsNew`; holds the next run's input. */
export class ContinueAsNew extends Error {
  readonly input: unknown;

  constructor(input: unknown) {
    super("continue as new");
    this.input = input;
  }
}

export async function continueAsNew(input: unknown): Promise<never> {
  throw new ContinueAsNew(input);
}

const named = (name: string): { readonly name: string } => ({ name });
export const defineSignal = named;
export const defineQuery = named;
export const defineUpdate = named;

export interface Handler {
  readonly handle: (payload: unknown) => unknown;
  readonly validate?: (payload: unknown) => void;
}

export function setHandler(
  { name }: { readonly name: string },
  handle: Handler["handle"],
  { validator }: { readonly validator?: Handler["handle"] } = {},
): void {
  here().run.handlers.set(name, { handle, ...(validator ? { validate: validator } : {}) });
}

export const workflowInfo = () => ({
  historyLength: here().run.historyLength,
  continueAsNewSuggested: false,
});
/** Handlers are synchronous (RULES.md 7), so they have always finished. */
export const allHandlersFinished = (): boolean => true;
/** Metadata for people, which nothing depends on. */
export const upsertMemo = (): void => undefined;
export const setCurrentDetails = (): void => undefined;
/** Every run of the simulation is new code. */
export const patched = (): boolean => true;
