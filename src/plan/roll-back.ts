import { isRetryable } from "../domain/errors.ts";
import type { PlanInput } from "../domain/plan.ts";
import { rolloutOf } from "../domain/spec.ts";
import { firstLine, isClusterFault } from "./condemn.ts";
import { isOutdated } from "./outdated.ts";
import type { World } from "./world.ts";

/** Has the new revision failed so often on one replica that the job is to go back? Told in one sentence. */
export function whyRollBack(input: PlanInput): string | undefined {
  const { desired, memory, spec } = input;
  const { rollout } = desired;
  if (rollout?.previous === undefined || !memory.served || !isUnsettled(input)) return undefined;
  const { attempts } = rolloutOf(spec);
  for (const [target, { code, message, generation }] of Object.entries(memory.failures)) {
    if (target === "proxy" || isClusterFault({ code, message })) continue;
    const tried = generation - (rollout.since[target] ?? 0);
    const isVerdict = target === "engine" && !isRetryable[code];
    if (isVerdict || (target !== "engine" && target !== "job" && tried >= attempts))
      return `${target} failed with revision ${rollout.revision}: ${firstLine({ code, message })}`;
  }
  return undefined;
}

/** Is a newer revision on its way through the job? */
export const isUpdating = ({ replicas }: World, input: PlanInput): boolean =>
  replicas.some((replica) => replica.surge || isOutdated(replica, input)) || isUnsettled(input);

/** The last change of the config has not been seen to serve whole yet. */
const isUnsettled = ({ desired, memory }: PlanInput): boolean =>
  desired.rollout !== undefined && desired.rollout.revision > (memory.settledRevision ?? 0);
