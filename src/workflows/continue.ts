import {
  allHandlersFinished,
  condition,
  continueAsNew,
  patched,
  workflowInfo,
} from "@temporalio/workflow";
import { waits } from "../domain/action.ts";
import type { JobInput } from "./messages.ts";
import type { PDJobWorkflow } from "./pdjob.ts";
import { carry } from "./state.ts";
import type { JobState } from "./state.ts";
import type { createWatcher } from "./watcher.ts";

/** Well below the server's own hint: a history is replayed within seconds, on a busy machine too. */
const historyEventsDefault = 2_000;
/** Past so many times that, nothing new is begun: changes that overlap would otherwise never let a run end. */
const historySlack = 1.25;

export function isTimeToContinue({ historyEventsMax = historyEventsDefault }: JobInput): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || historyLength > historyEventsMax;
}

/** Is it so late that what is in flight is only let end? */
export const beginsNothing = ({ historyEventsMax = historyEventsDefault }: JobInput): boolean =>
  workflowInfo().historyLength > historyEventsMax * historySlack &&
  patched("nothing-new-when-overdue");

/**
 * What changes something is let end, for what it did is remembered by this run; the job is watched and planned for
 * meanwhile. False when something is to be planned first.
 */
export async function canContinue(state: JobState, wakeAtMs: number | undefined): Promise<boolean> {
  if (hasOnlyWaits(state) || !patched("turns-until-changes-end")) return true;
  await until(() => state.dirty || hasOnlyWaits(state), wakeAtMs);
  return hasOnlyWaits(state);
}

/** Waits are planned anew by the next run. */
export async function continueJob(
  state: JobState,
  input: JobInput,
  watcher: ReturnType<typeof createWatcher>,
): Promise<never> {
  // A call that is under way ends before it is called off: until then leases are renewed.
  if (!patched("watch-until-continued")) await watcher.stop();
  for (const { kind, cancel } of state.inFlight.values()) if (waits.has(kind)) cancel();
  await condition(() => state.inFlight.size === 0);
  await watcher.stop();
  await condition(allHandlersFinished);
  const { spec } = state;
  return continueAsNew<typeof PDJobWorkflow>({ ...input, spec, state: carry(state) });
}

/** At the latest at `wakeAtMs`. */
export async function until(isDue: () => boolean, wakeAtMs: number | undefined): Promise<void> {
  if (wakeAtMs === undefined) await condition(isDue);
  else await condition(isDue, Math.max(1, wakeAtMs - Date.now()));
}

const hasOnlyWaits = ({ inFlight }: JobState): boolean =>
  [...inFlight.values()].every(({ kind }) => waits.has(kind));
