import { ApplicationFailure, setHandler } from "@temporalio/workflow";
import { scaleProblem } from "../domain/scale.ts";
import type { ScaleRequest } from "../domain/scale.ts";
import { restartProblem } from "../domain/restart.ts";
import { restartUpdate, scaleToSignal, scaleUpdate, statusQuery, stopUpdate } from "./messages.ts";
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
    ({ replica }) => {
      note(state, `restart of ${replica} was asked for`, Date.now());
      return { replica, retired: retire(state, replica) };
    },
    {
      validator: (request) => {
        const problem = restartProblem(request, state.spec.name, state.desired);
        if (problem) throw ApplicationFailure.nonRetryable(problem, "RestartRefused");
      },
      description: "Replace a replica or the proxy, with a fresh restart budget.",
    },
  );

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
