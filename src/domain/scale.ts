import { placeholdersIn } from "./proxy-placeholders.ts";
import { roles } from "./role.ts";
import type { Role } from "./role.ts";
import type { JobSpec } from "./spec.ts";

/** More than any cluster that Ray has been measured on; a typing error should not start it. */
export const replicasMax = 256;
/** Characters of an idempotency key: the last ones are remembered for the job's whole life. */
export const keyMax = 200;

/** Payload of signal `scaleTo` and update `scale`. */
export interface ScaleRequest {
  readonly role: Role;
  readonly replicas: number;
  /** Idempotency key: a second request with the same key changes nothing. */
  readonly key?: string;
}

/** What a job's counts must keep to. Part of its status, so that a client can tell before it asks. */
export interface ScaleLimits {
  readonly numGpus: number;
  readonly gpusPerReplica: Readonly<Record<Role, number>>;
  /** An external proxy's command may name replicas one by one; 0 when it does not. */
  readonly replicasNamed: Readonly<Record<Role, number>>;
}

export function scaleLimits({ numGpus, roles: of, scheduler }: JobSpec): ScaleLimits {
  const { command = [] } = scheduler;
  return {
    numGpus,
    gpusPerReplica: { prefill: of.prefill.numGpus, decode: of.decode.numGpus },
    replicasNamed: {
      prefill: highestNamedIndex(command, "prefill"),
      decode: highestNamedIndex(command, "decode"),
    },
  };
}

/**
 * Why a request can never be granted to this job, or undefined when it can. Takes anything: signals come from scripts.
 * `desired` are the counts as they stand.
 */
export function scaleProblem(
  payload: unknown,
  spec: JobSpec,
  desired: Readonly<Record<Role, number>>,
): string | undefined {
  if (!isScaleRequest(payload)) {
    return `A scale request is {"role":"prefill"|"decode","replicas":N,"key"?:"…"} with N from 1 to ${replicasMax} and a key of at most ${keyMax} characters; got ${describe(payload)}.`;
  }
  const { role, replicas } = payload;
  return countsProblem(spec.name, scaleLimits(spec), { ...desired, [role]: replicas }, [role]);
}

/** The same of counts as they would be after `changed` roles have theirs. */
export function countsProblem(
  job: string,
  { numGpus, gpusPerReplica, replicasNamed }: ScaleLimits,
  wanted: Readonly<Record<Role, number>>,
  changed: readonly Role[],
): string | undefined {
  const gpus = roles.reduce((sum, one) => sum + wanted[one] * gpusPerReplica[one], 0);
  if (gpus > numGpus) {
    const terms = roles.map((one) => `${wanted[one]} ${one} × ${gpusPerReplica[one]}`).join(" + ");
    return `${terms} = ${gpus} GPUs, but num_gpus of job ${job} is ${numGpus}. Ask for fewer replicas, or start the job with a larger num_gpus.`;
  }
  const short = changed.find((role) => replicasNamed[role] > wanted[role]);
  return short === undefined
    ? undefined
    : `scheduler.command names ${short} replica ${replicasNamed[short]}, so ${short} cannot go below ${replicasNamed[short]} replicas.`;
}

export function isScaleRequest(payload: unknown): payload is ScaleRequest {
  if (typeof payload !== "object" || payload === null) return false;
  const { role, replicas, key } = payload as Record<string, unknown>;
  const isKey = key === undefined || (typeof key === "string" && key.length <= keyMax);
  const isCount =
    typeof replicas === "number" &&
    Number.isInteger(replicas) &&
    replicas >= 1 &&
    replicas <= replicasMax;
  return roles.some((one) => one === role) && isCount && isKey;
}

/** The largest N of `$PREFILL_HOST_N` and its like in an external proxy's command; 0 when it names none. */
export function highestNamedIndex(command: readonly string[], role: Role): number {
  const own = placeholdersIn(command).filter((placeholder) => placeholder.role === role);
  return Math.max(0, ...own.map(({ of }) => (typeof of === "number" ? of + 1 : 0)));
}

/** Signals come from anywhere: what is quoted back is kept short. */
const describe = (payload: unknown): string =>
  (JSON.stringify(payload) ?? String(payload)).slice(0, 120);
