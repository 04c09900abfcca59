import type { PlanInput } from "../domain/plan.ts";
import type { ReplicaWorld } from "./world.ts";

/**
 * Does it run what an earlier revision asked for? What was started before revisions were told counts as up to date, and so
 * does whatever a new workflow adopts until the job has served.
 */
export function isOutdated(
  { id, wanted, current }: ReplicaWorld,
  { spec, desired, memory }: PlanInput,
): boolean {
  const { revision } = spec.roles[id.role];
  const own = current?.actor?.revision;
  const isJudged = wanted && (memory.served || desired.rollout !== undefined);
  return isJudged && revision !== undefined && own !== undefined && own !== revision;
}

/** Is the version of what the new revision runs still to be asked for? Nothing is started, or spared for it, before. */
export const isCommandNew = ({ desired, memory }: PlanInput): boolean =>
  desired.rollout !== undefined && memory.engine === undefined;
