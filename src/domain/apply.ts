import type { Desired } from "./memory.ts";
import { roles } from "./role.ts";
import type { Role } from "./role.ts";
import { proxyStartOf } from "./proxy-start.ts";
import { countsProblem, scaleLimits } from "./scale.ts";
import { isObject, sizeProblem, specProblem } from "./spec-shape.ts";
import { rolloutOf } from "./spec.ts";
import type { JobSpec } from "./spec.ts";

/** Payload of update `apply`: what the client made of a config. */
export interface ApplyRequest {
  readonly spec: JobSpec;
  /** Nothing serving for a while is accepted, where a replica can neither be spared nor have another beside it. */
  readonly outage?: true;
}

/** The job as a change finds it. */
export interface Changing {
  readonly spec: JobSpec;
  readonly desired: Desired;
}

/** Why a config cannot be applied to this job, or undefined when it can. Takes anything: updates come from scripts. */
export function applyProblem(payload: unknown, job: Changing): string | undefined {
  if (job.desired.stop) return stopping(job);
  const request =
    'An apply request is {"spec":{…},"outage"?:true}, with a spec as pdjob-client makes it of a config';
  if (!isObject(payload) || !isOutage(payload["outage"])) return `${request}.`;
  const problem = specProblem(payload["spec"]);
  if (problem) return `${request}: ${problem}.`;
  const { spec, outage } = payload as unknown as ApplyRequest;
  return sizeProblem(spec) ?? changeProblem(spec, outage, job);
}

/** The same of a spec that is one. */
export function changeProblem(
  next: JobSpec,
  outage: boolean | undefined,
  job: Changing,
): string | undefined {
  const { spec, desired } = job;
  if (desired.stop) return stopping(job);
  if (next.name !== spec.name)
    return `The config is of job ${next.name}, and this is job ${spec.name}. A job keeps its name.`;
  const problem = countsProblem(spec.name, scaleLimits(next), countsOf(next), roles);
  if (problem !== undefined || outage) return problem;
  const stuck = standstill(spec, next);
  return stuck && standstillProblem(stuck);
}

export const stopping = ({ spec }: Changing): string => `Job ${spec.name} is stopping.`;

/** Of a request's `outage`: scripts may say false, too. */
export const isOutage = (value: unknown): boolean =>
  value === undefined || typeof value === "boolean";

export const countsOf = ({ roles: of }: JobSpec): Readonly<Record<Role, number>> => ({
  prefill: of.prefill.replicas,
  decode: of.decode.replicas,
});

/** The same config with other counts. */
export const withCounts = (spec: JobSpec, counts: Readonly<Record<Role, number>>): JobSpec => ({
  ...spec,
  roles: {
    prefill: { ...spec.roles.prefill, replicas: counts.prefill },
    decode: { ...spec.roles.decode, replicas: counts.decode },
  },
});

/**
 * An earlier config for a job that gives up the present one: with the counts that were asked for by `scale` since that
 * was applied, where they fit.
 */
export function withScaled(earlier: JobSpec, { spec, desired }: Changing): JobSpec {
  const [before, asked] = [countsOf(earlier), countsOf(spec)];
  const countOf = (role: Role): number =>
    desired.replicas[role] === asked[role] ? before[role] : desired.replicas[role];
  const counts = { prefill: countOf("prefill"), decode: countOf("decode") };
  const isFit = !countsProblem(earlier.name, scaleLimits(earlier), counts, roles);
  return isFit ? withCounts(earlier, counts) : earlier;
}

/** The roles whose engines have to be replaced. */
export const rollingRoles = (before: JobSpec, after: JobSpec): readonly Role[] =>
  roles.filter((role) => before.roles[role].revision !== after.roles[role].revision);

/** Must the engines of the new revision not hand KV to those of the old one? One role that changes alone keeps its partners. */
export const isApart = (before: JobSpec, after: JobSpec): boolean =>
  roles.every((role) => before.roles[role].kvRevision !== after.roles[role].kvRevision);

export const isProxyNew = (before: JobSpec, after: JobSpec): boolean =>
  JSON.stringify(proxyStartOf(before)) !== JSON.stringify(proxyStartOf(after));

interface Standstill {
  /** Their replicas can neither be spared nor have another beside them. */
  readonly roles: readonly Role[];
  readonly room: NonNullable<ReturnType<typeof whyNoRoom>>;
}

/** Would an update stop before some roles unless nothing may serve for a while? */
export function standstill(before: JobSpec, after: JobSpec): Standstill | undefined {
  const { unavailable } = rolloutOf(after);
  const counts = countsOf(after);
  const stuck = rollingRoles(before, after).filter(
    (role) => Math.max(1, counts[role] - unavailable) >= counts[role],
  );
  const first = stuck[0];
  if (first === undefined) return undefined;
  const wanted = roles.reduce((sum, role) => sum + counts[role] * after.roles[role].numGpus, 0);
  const beside = (isApart(before, after) ? stuck : [first]).reduce(
    (sum, role) => sum + after.roles[role].numGpus,
    0,
  );
  const room = whyNoRoom(after, wanted + beside);
  return room && { roles: stuck, room };
}

const standstillProblem = ({ roles: stuck, room }: Standstill): string =>
  `No ${stuck.join(" and no ")} replica can be spared while it is replaced, and ${room.why}. Allow that nothing serves meanwhile (--allow-outage), or raise ${room.raise}.`;

/** What keeps others, with which the job has so many GPUs, from standing beside what is replaced; undefined when nothing does. */
export function whyNoRoom(
  spec: JobSpec,
  gpus: number,
): { readonly why: string; readonly raise: "rollout.surge" | "num_gpus" } | undefined {
  if (rolloutOf(spec).surge === 0)
    return {
      why: "rollout.surge is 0, so there is never another beside it",
      raise: "rollout.surge",
    };
  if (gpus <= spec.numGpus) return undefined;
  const why = `num_gpus ${spec.numGpus} leaves no room for another beside it (${gpus} would do)`;
  return { why, raise: "num_gpus" };
}
