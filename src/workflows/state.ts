import type { Action, InFlightAction } from "../domain/action.ts";
import { countsOf } from "../domain/apply.ts";
import type { Failure } from "../domain/errors.ts";
import { completeMemory, emptyMemory } from "../domain/memory.ts";
import type { Desired, Memory } from "../domain/memory.ts";
import type { JobView } from "../domain/plan.ts";
import { forgive } from "../domain/restart.ts";
import { actorName, logPath, replicaName } from "../domain/names.ts";
import type { Revision } from "../domain/revision.ts";
import { scaleLimits } from "../domain/scale.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { JobEvent, JobStatus, LogPlace } from "../domain/status.ts";
import type { ActionResult } from "./remember.ts";

/** Events shown by `status`; older ones are in the workflow's history. */
const eventsMax = 40;
/** Idempotency keys remembered; a script that repeats itself does so soon. */
const keysMax = 200;
/** Places of logs kept: the newest of all replicas together. */
const logsMax = 64;

/**
 * Raised when what is carried over changes so that earlier code would misread it. What is only added needs no new one: it
 * is optional, and earlier code carries on without it.
 */
export const schemaVersion = 1;

/** What one run hands to the next at continue-as-new. Plain JSON: the next run may be older or newer code. */
export interface CarriedState {
  /** Absent is older than 1. */
  readonly schemaVersion?: number;
  readonly desired: Desired;
  readonly desiredGeneration: number;
  readonly plannedGeneration: number;
  readonly memory: Memory;
  readonly view: JobView;
  readonly events: readonly JobEvent[];
  readonly keys: readonly string[];
  readonly logs: readonly LogPlace[];
  /** Absent when an earlier version carried it: then the job has had one config. */
  readonly revisions?: readonly Revision[];
  readonly failure?: Failure;
  readonly cancelled?: boolean;
}

/** The job as one run of the workflow sees it. Handlers edit `desired` only, through the functions below. */
export interface JobState {
  /** Of the newest revision. */
  spec: JobSpec;
  desired: Desired;
  desiredGeneration: number;
  memory: Memory;
  view: JobView;
  events: readonly JobEvent[];
  keys: readonly string[];
  logs: readonly LogPlace[];
  /** The configs that the job had lately, the newest last. */
  revisions: readonly Revision[];
  failure?: Failure;
  /** The workflow's cancellation was asked for: that is how it is to end. */
  cancelled?: boolean;
  /** The newest wish that a plan has seen. */
  plannedGeneration: number;
  /** Actions being performed, with the means to cancel each. */
  readonly inFlight: Map<string, InFlightAction & { readonly cancel: () => void }>;
  /** Something changed since the last plan. */
  dirty: boolean;
}

export function openState(
  spec: JobSpec,
  carried: CarriedState | undefined,
  nowMs: number,
): JobState {
  refuseNewer(spec, carried);
  const fresh: CarriedState = {
    desired: {
      replicas: countsOf(spec),
    },
    desiredGeneration: 1,
    plannedGeneration: 0,
    memory: emptyMemory(nowMs),
    view: unseen(spec),
    events: [{ atMs: nowMs, text: `job ${spec.name} was started` }],
    keys: [],
    logs: [],
    revisions: [{ number: 1, atMs: nowMs, why: "start", spec }],
  };
  const { schemaVersion: _, ...state } = { ...fresh, ...carried };
  const memory = completeMemory(state.memory, nowMs);
  const { revisions = [] } = state;
  return { ...state, revisions, memory, spec, inFlight: new Map(), dirty: true };
}

/**
 * Thrown as no failure of Temporal's: so it is not the workflow that fails but its task, which is tried again until a worker
 * that knows better takes it.
 */
function refuseNewer({ name }: JobSpec, carried: CarriedState | undefined): void {
  const found = carried?.schemaVersion ?? 0;
  if (found <= schemaVersion) return;
  throw new Error(
    `Job ${name} was carried on by a later version of pdjob-worker: its state has schema version ${found}, and this worker ` +
      `reads up to ${schemaVersion}. Start a worker of that version, and end this one: the job waits for it and loses nothing.`,
  );
}

export function carry({
  desired,
  desiredGeneration,
  plannedGeneration,
  memory,
  view,
  events,
  keys,
  logs,
  revisions,
  failure,
  cancelled,
}: JobState): CarriedState {
  const state = {
    schemaVersion,
    desired,
    desiredGeneration,
    plannedGeneration,
    memory,
    view,
    events,
    keys,
    logs,
    revisions,
  };
  return { ...state, ...(failure ? { failure } : {}), ...(cancelled ? { cancelled } : {}) };
}

const unseen = (spec: JobSpec): JobView => ({
  phase: "DEPLOYING",
  reason: "looking at the cluster",
  replicas: [],
  proxy: { phase: "PENDING", builtin: spec.scheduler.membership === "builtin" },
});

export function note(state: JobState, text: string, nowMs: number): void {
  state.events = [...state.events, { atMs: nowMs, text }].slice(-eventsMax);
}

/** Where what an action started writes its output; what has no host did not start. */
export function noteLog(
  state: JobState,
  action: Action,
  { result, workingDir }: { readonly result: ActionResult; readonly workingDir: string },
): void {
  const host = result && "host" in result ? result.host : undefined;
  if (!host) return;
  const { name: job } = state.spec;
  const place = (name: string, generation: number): LogPlace => {
    const path = logPath(workingDir, actorName(job, name, generation));
    return { name, generation, host, path };
  };
  const added =
    action.kind === "startPrefill" || action.kind === "startDecode"
      ? place(replicaName(action.replica), action.generation)
      : action.kind === "runProxy"
        ? place("proxy", action.generation)
        : undefined;
  const isKnown = state.logs.some(({ path, host: on }) => path === added?.path && on === host);
  if (added && !isKnown) state.logs = [...state.logs, added].slice(-logsMax);
}

/** True the first time that a key is seen. */
export function claimKey(state: JobState, key: string | undefined): boolean {
  if (key === undefined) return true;
  if (state.keys.includes(key)) return false;
  state.keys = [...state.keys, key].slice(-keysMax);
  return true;
}

/**
 * Everything of the target that was ever asked for is to be replaced: at once, or a replica as soon as another of its role
 * serves. Answers up to which generation.
 */
export function retire(state: JobState, target: string, how: "at once" | "relieved"): number {
  const seen =
    target === "proxy"
      ? state.view.proxy.generation
      : state.view.replicas.find(({ name }) => name === target)?.generation;
  const generation = Math.max(state.memory.generations[target] ?? 0, seen ?? 0);
  state.memory = forgive(state.memory, target);
  const key = how === "at once" ? "retired" : "relieved";
  const replaced = { ...state.desired[key], [target]: generation };
  state.desired = { ...state.desired, [key]: replaced };
  state.desiredGeneration += 1;
  state.dirty = true;
  return generation;
}

export function stopWanted(state: JobState, drain: boolean): void {
  if (state.desired.stop) return;
  state.desired = { ...state.desired, stop: { drain } };
  state.desiredGeneration += 1;
  state.dirty = true;
}

export function statusOf(job: JobState): JobStatus {
  const { spec, desired, desiredGeneration, inFlight, events, logs, revisions, failure } = job;
  const view = standing(job);
  const { settledRevision } = job.memory;
  const ready = { prefill: 0, decode: 0 };
  for (const { role, phase } of view.replicas) if (phase === "READY") ready[role] += 1;
  const keys = [...inFlight.keys()];
  const status = {
    job: spec.name,
    logs,
    desired: desired.replicas,
    revision: revisions.at(-1)?.number ?? 1,
    ...(settledRevision === undefined ? {} : { settledRevision }),
    limits: scaleLimits(spec),
    desiredGeneration,
    ready,
    inFlight: keys,
    events,
    ...view,
  };
  return failure ? { ...status, failure } : status;
}

/** READY is said of the newest wish only: until a plan has seen it, the job is about to change. */
function standing({ view, desiredGeneration, plannedGeneration }: JobState): JobView {
  const isStale = view.phase === "READY" && plannedGeneration < desiredGeneration;
  return isStale ? { ...view, phase: "SCALING", reason: "a change was just asked for" } : view;
}
