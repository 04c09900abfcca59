import { ApplicationFailure, setHandler } from "@temporalio/workflow";
import { applyProblem, withScaled } from "../domain/apply.ts";
import { pauseProblem } from "../domain/pause.ts";
import { pauseNotes, revisionAt } from "../domain/revision.ts";
import { scaleProblem } from "../domain/scale.ts";
import type { ScaleRequest } from "../domain/scale.ts";
import { restartProblem } from "../domain/restart.ts";
import { abortProblem, abortTarget, undoProblem } from "../domain/undo.ts";
import type { AbortRequest, Returning, UndoRequest } from "../domain/undo.ts";
import {
  abortUpdate,
  applyUpdate,
  pauseUpdate,
  restartUpdate,
  revisionsQuery,
  scaleToSignal,
  scaleUpdate,
  statusQuery,
  stopUpdate,
  undoUpdate,
} from "./messages.ts";
import type { ApplyAnswer } from "./messages.ts";
import { adopt, numberOf, pause } from "./revisions.ts";
import { claimKey, note, retire, statusOf, stopWanted } from "./state.ts";
import type { JobState } from "./state.ts";

/** Registers every handler, synchronously, before the first await: an update without a handler is rejected. */
export function registerHandlers(state: JobState): void {
  setHandler(statusQuery, () => statusOf(state), { description: "How the job stands." });

  // A signal's sender hears nothing and a throwing handler would fail the job: a bad payload becomes an event.
  setHandler(
    scaleToSignal,
    (request) => {
      const problem = scaleRefusal(state, request);
      if (problem) return note(state, `scaleTo was ignored: ${problem}`, Date.now());
      scale(state, request, "signal scaleTo");
    },
    { description: "Ask for a number of replicas of a role." },
  );

  setHandler(
    scaleUpdate,
    (request) => {
      scale(state, request, "update scale");
      return { desiredGeneration: state.desiredGeneration, desired: state.desired.replicas };
    },
    {
      // Synchronous on purpose: the SDK does not await validators, so an async one would accept everything.
      validator: (request) => {
        const problem = scaleRefusal(state, request);
        if (problem) throw ApplicationFailure.nonRetryable(problem, "ScaleRefused");
      },
      description: "Ask for a number of replicas of a role, with an answer.",
    },
  );

  setHandler(
    restartUpdate,
    ({ replica, outage }) => {
      note(state, `restart of ${replica} was asked for`, Date.now());
      const how = outage || replica === "proxy" ? "at once" : "relieved";
      return { replica, retired: retire(state, replica, how) };
    },
    {
      validator: (request) => {
        const problem = restartProblem(request, state);
        if (problem) throw ApplicationFailure.nonRetryable(problem, "RestartRefused");
      },
      description: "Replace a replica or the proxy, with a fresh restart budget.",
    },
  );

  registerRevisionHandlers(state);

  setHandler(
    stopUpdate,
    () => {
      note(state, "stop was asked for", Date.now());
      stopWanted(state, true);
      return { stopping: true as const };
    },
    { description: "Drain, then tear everything down." },
  );
}

/** Those that change the config, and say which ones there were. */
function registerRevisionHandlers(state: JobState): void {
  const answer = (revision: number): ApplyAnswer => ({
    revision,
    desiredGeneration: state.desiredGeneration,
  });
  const refuseIf = (problem: string | undefined): void => {
    if (problem) throw ApplicationFailure.nonRetryable(problem, "ApplyRefused");
  };

  setHandler(revisionsQuery, () => state.revisions, {
    description: "The configs that the job had lately.",
  });

  setHandler(
    applyUpdate,
    ({ spec, outage }) => answer(adopt(state, { spec, outage, why: "apply" }, Date.now())),
    {
      validator: (request) => refuseIf(applyProblem(request, state)),
      description: "Change the job to another config, replica by replica where engines change.",
    },
  );

  setHandler(
    undoUpdate,
    // Its input may be left out.
    (request: UndoRequest | undefined) => {
      const { to, outage } = request ?? {};
      const target = revisionAt(state.revisions, to);
      if (!target) return answer(numberOf(state)); // The validator has seen it; it was there.
      const why = `undo to ${target.number}`;
      return answer(adopt(state, { spec: target.spec, outage, why }, Date.now()));
    },
    {
      validator: (request) => refuseIf(undoProblem(request, returning(state))),
      description: "Go back to an earlier config.",
    },
  );

  setHandler(
    abortUpdate,
    (request: AbortRequest | undefined) => {
      const target = abortTarget(returning(state));
      if (!target) return { ...answer(numberOf(state)), backTo: numberOf(state) };
      const { number: backTo } = target;
      const spec = withScaled(target.spec, state);
      const { outage } = request ?? {};
      const revision = adopt(state, { spec, outage, why: `abort: back to ${backTo}` }, Date.now());
      return { ...answer(revision), backTo };
    },
    {
      validator: (request) => refuseIf(abortProblem(request, returning(state))),
      description: "Give up a change that is under way.",
    },
  );

  setHandler(
    pauseUpdate,
    ({ paused }) => {
      note(state, paused ? pauseNotes.paused : pauseNotes.resumed, Date.now());
      pause(state, paused);
      return { paused };
    },
    {
      validator: (request) =>
        refuseIf(
          pauseProblem(state.spec.name, state.desired, state.memory.settledRevision, request),
        ),
      description: "Stop an update where it is, or let it go on.",
    },
  );
}

const returning = ({ spec, desired, revisions, memory }: JobState): Returning => ({
  spec,
  desired,
  revisions,
  settledRevision: memory.settledRevision,
});

function scaleRefusal({ spec, desired }: JobState, request: unknown): string | undefined {
  if (desired.stop) return `Job ${spec.name} is stopping.`;
  return scaleProblem(request, spec, desired.replicas);
}

function scale(state: JobState, { role, replicas, key }: ScaleRequest, by: string): void {
  if (!claimKey(state, key)) return;
  const before = state.desired.replicas[role];
  note(state, `${by}: ${role} ${before} → ${replicas}`, Date.now());
  if (before === replicas) return;
  state.desired = { ...state.desired, replicas: { ...state.desired.replicas, [role]: replicas } };
  state.desiredGeneration += 1;
  state.dirty = true;
}
