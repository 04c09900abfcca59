import { patched } from "@temporalio/workflow";
import { countsOf, isProxyNew, rollingRoles, withCounts } from "../domain/apply.ts";
import type { Desired, Memory } from "../domain/memory.ts";
import { keptRevisions, pairingsWith } from "../domain/revision.ts";
import { roles } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";
import { note, retire } from "./state.ts";
import type { JobState } from "./state.ts";

interface Change {
  readonly spec: JobSpec;
  /** `apply`, `undo to 1`, `rollback to 1: …`. */
  readonly why: string;
  readonly outage?: true | undefined;
  /** A job that went back by itself does not do so again. */
  readonly isRollback?: true;
}

/** The job is to be as this config says. The same config again changes nothing but the counts. Answers with its number. */
export function adopt(state: JobState, change: Change, nowMs: number): number {
  const before = state.spec;
  const last = numberOf(state);
  if (isSame(before, change.spec) && isSameCounts(state, change.spec)) return last;
  const number = last + 1;
  const { spec, why, outage, isRollback } = change;
  const rolling = rollingRoles(before, spec);
  note(state, `revision ${number}: ${why}${describe(rolling)}`, nowMs);
  const settled = state.revisions.find((one) => one.number === state.memory.settledRevision);
  // What a change that has not come to its end was replacing is not all replaced.
  const { rollout } = state.desired;
  const unsettled = settled?.number === last ? [] : rollout ? (rollout.rolling ?? roles) : [];
  const revisions = [
    // What `undo` goes back to is what was there, counts that were changed meanwhile included.
    ...state.revisions.slice(0, -1),
    ...state.revisions
      .slice(-1)
      .map((one) => ({ ...one, spec: withCounts(one.spec, state.desired.replicas) })),
    { number, atMs: nowMs, why, spec },
  ];
  state.revisions = keptRevisions(revisions, settled?.number);
  state.memory = refreshed(state.memory, before, spec, nowMs);
  state.desired = {
    ...state.desired,
    replicas: countsOf(spec),
    rollout: {
      revision: number,
      since: state.memory.generations,
      rolling: roles.filter((role) => rolling.includes(role) || unsettled.includes(role)),
      ...(settled === undefined || isRollback ? {} : { previous: settled.number }),
      ...(outage ? { outage } : {}),
    },
    ...pairingsOf(state.desired, settled ? [settled.spec, before, spec] : [before, spec]),
  };
  state.spec = spec;
  state.desiredGeneration += 1;
  state.dirty = true;
  if (startsProxyAnew(before, spec)) retire(state, "proxy", "at once");
  return number;
}

/** Histories of a time when nothing but the scheduler and the global variables counted replay as they went. */
const startsProxyAnew = (before: JobSpec, after: JobSpec): boolean =>
  isProxyNew(before, after) &&
  (!isSame([before.scheduler, before.envs], [after.scheduler, after.envs]) ||
    patched("proxy-anew-for-all-it-is-told"));

export const numberOf = ({ revisions }: JobState): number => revisions.at(-1)?.number ?? 1;

/** Stops the update where it is, or lets it go on. */
export function pause(state: JobState, paused: boolean): void {
  const { rollout } = state.desired;
  if (!rollout || (rollout.paused ?? false) === paused) return;
  const { paused: _, ...rest } = rollout;
  state.desired = { ...state.desired, rollout: paused ? { ...rest, paused } : rest };
  state.desiredGeneration += 1;
  state.dirty = true;
}

const describe = (rolling: readonly string[]): string =>
  rolling.length > 0 ? `; the ${rolling.join(" and ")} engines are replaced` : "";

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const isSameCounts = ({ desired }: JobState, spec: JobSpec): boolean =>
  roles.every((role) => desired.replicas[role] === spec.roles[role].replicas);

/** A new config has its whole restart budget, and what was learned of the old one is learned anew. */
function refreshed(known: Memory, before: JobSpec, after: JobSpec, nowMs: number): Memory {
  const { engine, package: files, untold: _, ...memory } = known;
  return {
    ...memory,
    failures: {},
    restarts: {},
    ...(memory.served ? {} : { deployStartedAtMs: nowMs }),
    ...(engine && isSameCommand(before, after) ? { engine } : {}),
    // The folder is read again: what is started from now on finds the files as they are now.
    ...(files !== undefined && after.upload === undefined ? { package: files } : {}),
  };
}

const isSameCommand = (a: JobSpec, b: JobSpec): boolean =>
  JSON.stringify(asked(a)) === JSON.stringify(asked(b));

/** What the question for the engines' version, and the judgement of its answer, depend on. */
const asked = ({ engineCommand, engineVersion, roles: of, workingDir, upload }: JobSpec) => [
  [engineCommand, engineVersion, workingDir, upload],
  roles.map((role) => [of[role].envs, of[role].kvTransfer, of[role].params, of[role].numGpus]),
];

/** Nothing while every engine may pair with every other. `specs`: whose engines may be running, the wanted one last. */
function pairingsOf(
  { pairings = [] }: Desired,
  specs: readonly JobSpec[],
): Pick<Desired, "pairings"> {
  const next = pairingsWith(pairings, specs);
  return next.length > 1 ? { pairings: next } : {};
}
