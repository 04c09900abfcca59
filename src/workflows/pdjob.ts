import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  allHandlersFinished,
  condition,
  patched,
  setCurrentDetails,
  upsertMemo,
  workflowInfo,
} from "@temporalio/workflow";
import type { Turn } from "../activities/turn.ts";
import { isReplacedProxy, waits } from "../domain/action.ts";
import { withScaled } from "../domain/apply.ts";
import { readyByMs } from "../domain/deadline.ts";
import type { Failure } from "../domain/errors.ts";
import type { Plan } from "../domain/plan.ts";
import { revisionAt } from "../domain/revision.ts";
import { beginsNothing, canContinue, continueJob, isTimeToContinue, until } from "./continue.ts";
import { renderDetails } from "./details.ts";
import { registerHandlers } from "./handlers.ts";
import type { JobInput, JobResult } from "./messages.ts";
import { giveUp, giveUpAfterMs, isLost } from "./blind.ts";
import type { Blind } from "./blind.ts";
import { isTold, toFailure } from "./failure.ts";
import { launch } from "./launch.ts";
import { quick } from "./perform.ts";
import { createWatcher } from "./watcher.ts";
import { adopt, numberOf } from "./revisions.ts";
import { rememberSeen } from "./remember.ts";
import { note, openState, statusOf, stopWanted } from "./state.ts";
import type { JobState } from "./state.ts";

/** After a look at the cluster that failed for good: the first wait, doubled each time. */
const lookAgainMs = 2_000;
const lookAgainMaxMs = 60_000;
/** The least that the first deployment's deadline leaves a look at the cluster. */
const lookMinMs = 10_000;
/**
 * One job, from start to stop. Keeps what is wanted and what Ray cannot tell; everything else is observed anew in each
 * turn: plan → start actions → wait until something changed. Ends STOPPED, cancelled, or failed with a code of
 * domain/errors.ts as the failure's type. Cancelling means stopping with a drain.
 */
export async function PDJobWorkflow(input: JobInput): Promise<JobResult> {
  const state = openState(input.spec, input.state, Date.now());
  registerHandlers(state);
  CancellationScope.current().cancelRequested.catch(() => {
    state.cancelled = true;
    note(state, "cancellation was asked for: the job stops", Date.now());
    stopWanted(state, true);
  });
  await CancellationScope.nonCancellable(() => runTurns(state, input));
  if (state.failure)
    throw ApplicationFailure.nonRetryable(state.failure.message, state.failure.code);
  if (state.cancelled)
    throw new CancelledFailure("the job was cancelled; everything of it is released");
  return { phase: "STOPPED" };
}

async function runTurns(state: JobState, input: JobInput): Promise<void> {
  const watcher = createWatcher(state);
  let failedLooks = 0;
  let blind: Blind | undefined;
  for (;;) {
    state.dirty = false;
    const wished = { generation: state.desiredGeneration, revision: numberOf(state) };
    const lookedAtMs = Date.now();
    const { turn, isBlind } = await planTurn(state, blind?.sinceMs ?? lookedAtMs);
    failedLooks = turn ? 0 : failedLooks + 1;
    blind = isBlind ? { sinceMs: blind?.sinceMs ?? lookedAtMs, lookedAtMs } : undefined;
    if (turn) {
      state.plannedGeneration = wished.generation;
      applyPlan(
        state,
        beginsNothing(input) ? withoutActions(turn.plan) : turn.plan,
        wished.revision,
      );
      if (turn.plan.finished) break;
      if (isWaiting(state) || patched("watch-beside-changes")) watcher.start(turn);
    }
    if (isReleased(state)) break;
    if (isLost(state, blind)) {
      await giveUp(state, blind);
      break;
    }
    const wakeAtMs = turn ? turn.plan.wakeAtMs : Date.now() + lookAgainAfter(failedLooks);
    // Messages that change nothing make a history long, too.
    await until(() => state.dirty || isTimeToContinue(input), wakeAtMs);
    if (isTimeToContinue(input) && (await canContinue(state, wakeAtMs)))
      await continueJob(state, input, watcher);
  }
  await watcher.stop();
  await condition(allHandlersFinished);
  show(state, {
    phase: state.failure ? "FAILED" : "STOPPED",
    reason: state.failure?.message ?? "everything is released",
  });
}

const withoutActions = (plan: Plan): Plan => ({ ...plan, actions: [] });

const lookAgainAfter = (failures: number): number =>
  Math.min(lookAgainMs * 2 ** (failures - 1), lookAgainMaxMs);

/**
 * No turn when the cluster could not be looked at. A first deployment fails by that. A job that has served, or is being
 * taken down, looks again and again: whatever is wrong on our side is no reason to stop engines that serve. `isBlind`: it
 * was looked at in vain; otherwise there may only have been no worker to look.
 */
async function planTurn(
  state: JobState,
  blindSinceMs: number,
): Promise<{ readonly turn?: Turn; readonly isBlind: boolean }> {
  const { spec, desired, memory, inFlight } = state;
  const actions = [...inFlight.values()].map(({ key, kind, target }) => ({ key, kind, target }));
  const endMs = state.failure ? blindSinceMs + giveUpAfterMs : readyByMs(state);
  const scheduleToCloseTimeout = Math.max(endMs - Date.now(), lookMinMs);
  const isBounded = !memory.served && (!desired.stop || state.failure !== undefined);
  try {
    const turn = await quick.planTurn.executeWithOptions(
      isBounded ? { scheduleToCloseTimeout } : {},
      [{ spec, desired, memory, inFlight: actions }],
    );
    return { turn, isBlind: false };
  } catch (error) {
    const failure = toFailure(error);
    const isBlind = isTold(error);
    const goesOn = memory.served || desired.stop || (!isBlind && looksAgain(state));
    if (goesOn)
      note(state, `looking at the cluster failed: ${failure.code}: ${failure.message}`, Date.now());
    else fail(state, failure);
    return { isBlind };
  }
}

/** What nobody looked at says nothing: whoever comes back finds what is there, and whether it is too late. */
const looksAgain = ({ inFlight }: JobState): boolean =>
  inFlight.size > 0 || patched("look-again-when-nobody-looked");

/** `revision` is the one that the plan was made for; a newer one may have come meanwhile: then only what was seen counts. */
function applyPlan(state: JobState, plan: Plan, revision: number): void {
  if (revision === numberOf(state) || !patched("skip-plans-of-earlier-revisions"))
    follow(state, plan, revision);
  const { reserving: _, ...memory } = rememberSeen(state.memory, plan.view);
  state.memory = {
    ...memory,
    ...(plan.reserving ? { reserving: plan.reserving } : {}),
    // Absent in turns that were recorded before it was counted.
    lostSinceMs: plan.lostSinceMs ?? {},
    served: memory.served || plan.view.phase === "READY",
    ...(plan.view.phase === "READY" ? { settledRevision: revision } : {}),
  };
  show(state, plan.view);
}

function follow(state: JobState, plan: Plan, revision: number): void {
  if (plan.failure) fail(state, plan.failure);
  if (plan.pairings) state.desired = { ...state.desired, pairings: plan.pairings };
  if (plan.rollback !== undefined && revision === numberOf(state)) rollBack(state, plan.rollback);
  for (const key of plan.cancel) state.inFlight.get(key)?.cancel();
  for (const action of plan.actions) launch(state, action);
}

function rollBack(state: JobState, why: string): void {
  const previous = revisionAt(state.revisions, state.desired.rollout?.previous);
  if (!previous) return;
  const { number, spec } = previous;
  const { outage } = state.desired.rollout ?? {};
  adopt(
    state,
    {
      spec: withScaled(spec, state),
      why: `rollback to ${number}: ${why}`,
      outage,
      isRollback: true,
    },
    Date.now(),
  );
}

/** The job cannot succeed: remember why, then take everything down without waiting for requests. */
function fail(state: JobState, failure: Failure): void {
  state.failure ??= failure;
  note(state, `the job failed: ${failure.code}: ${failure.message}`, Date.now());
  stopWanted(state, false);
}

/** A job that failed before it ever asked Ray for anything has nothing to release, and maybe no cluster to ask. */
const isReleased = ({ failure, memory, inFlight }: JobState): boolean =>
  failure !== undefined && inFlight.size === 0 && Object.keys(memory.generations).length === 0;

/** Is nothing being changed but a proxy that was replaced, whose stop may take its whole grace? */
const isWaiting = ({ inFlight }: JobState): boolean =>
  [...inFlight.values()].every(({ kind, target }) => waits.has(kind) || isReplacedProxy(target));

/** Shows how the job stands to those who ask: the status query, the Web UI's details block, the memo for lists. */
function show(state: JobState, view: Partial<Plan["view"]>): void {
  const before = state.view.phase;
  state.view = { ...state.view, ...view };
  if (state.view.phase !== before || workflowInfo().historyLength < 10)
    upsertMemo({ phase: state.view.phase });
  setCurrentDetails(renderDetails(statusOf(state)));
}
