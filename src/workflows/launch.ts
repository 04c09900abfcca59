import { CancellationScope, isCancellation, sleep } from "@temporalio/workflow";
import { actionKey, targetOf } from "../domain/action.ts";
import type { Action } from "../domain/action.ts";
import { isTold, toFailure } from "./failure.ts";
import { perform } from "./perform.ts";
import { rememberFailure } from "./remember-failure.ts";
import { rememberStart, rememberSuccess } from "./remember.ts";
import { numberOf } from "./revisions.ts";
import { note, noteLog } from "./state.ts";
import type { JobState } from "./state.ts";

/** A failed action is not planned again at once, so that a policy error cannot spin. */
const afterFailureMs = 1_000;

/** Performs an action beside the loop. Its end, however it ends, asks for the next plan. */
export function launch(state: JobState, action: Action): void {
  const key = actionKey(action);
  // What it is done with, whatever is applied meanwhile.
  const { spec } = state;
  const revision = numberOf(state);
  const scope = new CancellationScope({ cancellable: true });
  let isCalledOff = false;
  const cancel = (): void => {
    isCalledOff = true;
    scope.cancel();
  };
  state.inFlight.set(key, { key, kind: action.kind, target: targetOf(action), cancel });
  state.memory = rememberStart(state.memory, action, Date.now());
  note(state, `${key}: ${action.reason}`, Date.now());
  const run = async (): Promise<void> => {
    try {
      const result = await scope.run(() => perform(action, spec));
      if (isOutOfDate(state, action, revision)) return;
      const success = { result, job: spec.name, nowMs: Date.now() };
      state.memory = rememberSuccess(state.memory, action, success);
      noteLog(state, action, { result, workingDir: spec.workingDir });
      if (result && "text" in result) note(state, result.text, Date.now());
      if (result && "notes" in result)
        for (const text of result.notes) note(state, text, Date.now());
    } catch (error) {
      // Once it was called off, even a timeout is no failure of its target: its worker may have died meanwhile.
      if (!isCalledOff && !isCancellation(error))
        await recordFailure(state, action, { error, revision });
    } finally {
      state.inFlight.delete(key);
      state.dirty = true;
    }
  };
  void run();
}

/** Was something learned of a config that is not wanted any more? A newer one learns it anew. */
const isOutOfDate = (state: JobState, { kind }: Action, revision: number): boolean =>
  (kind === "probeEngine" || kind === "uploadFiles") && revision !== numberOf(state);

interface FailedAction {
  readonly error: unknown;
  /** With which it was begun. */
  readonly revision: number;
}

async function recordFailure(
  state: JobState,
  action: Action,
  { error, revision }: FailedAction,
): Promise<void> {
  const failure = toFailure(error);
  // Of what timed out with its worker nobody knows whether it was done: the next plan sees it, and may find it well.
  if (isTold(error) && !isOutOfDate(state, action, revision))
    state.memory = rememberFailure(state.memory, action, failure, Date.now());
  note(state, `${actionKey(action)} failed: ${failure.code}: ${failure.message}`, Date.now());
  await sleep(afterFailureMs);
}
