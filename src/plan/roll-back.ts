import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import { rolloutOf } from "../domain/spec.ts";
import { firstLine } from "./condemn.ts";
import { isOutdated, refusedEngine } from "./outdated.ts";
import { mayRestart } from "./restarts.ts";
import type { World } from "./world.ts";

/**
 * Is the job to go back, because its new engines do not run? When their version cannot serve the job, or one replica of a
 * role that the change replaces has failed by itself in so many generations, or has no restart left. Told in one sentence.
 */
export function whyRollBack(input: PlanInput): string | undefined {
  const { desired, memory } = input;
  const { rollout } = desired;
  if (rollout?.previous === undefined || !memory.served || !isUnsettled(input)) return undefined;
  // Whoever has paused it decides.
  if (rollout.paused) return undefined;
  const target = Object.keys(memory.failures).find((one) => isVerdict(one, input));
  const failure = target === undefined ? undefined : memory.failures[target];
  return failure && `${target} failed with revision ${rollout.revision}: ${firstLine(failure)}`;
}

function isVerdict(target: string, input: PlanInput): boolean {
  const { desired, memory, spec, nowMs } = input;
  const failure = memory.failures[target];
  if (!failure) return false;
  if (target === "engine") return refusedEngine(input) !== undefined;
  const { rolling = roles, since = {} } = desired.rollout ?? {};
  if (!rolling.some((role) => target.startsWith(`${role}-`))) return false;
  // Absent in memory of an earlier version.
  const { failed = [failure.generation] } = failure;
  const tried = failed.filter((generation) => generation > (since[target] ?? 0)).length;
  const isExhausted = mayRestart(target, memory, spec.restart, nowMs).kind === "exhausted";
  return tried >= (isExhausted ? 1 : rolloutOf(spec).attempts);
}

/** Is a newer revision on its way through the job? */
export const isUpdating = ({ replicas }: World, input: PlanInput): boolean =>
  replicas.some((one) => isOutdated(one, input)) || isUnsettled(input);

/** The last change of the config has not been seen to serve whole yet. */
const isUnsettled = ({ desired, memory }: PlanInput): boolean =>
  desired.rollout !== undefined && desired.rollout.revision > (memory.settledRevision ?? 0);
