import { isRetryable } from "../domain/errors.ts";
import type { Failure } from "../domain/errors.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import type { ReplicaWorld } from "./world.ts";

/**
 * Does it run what an earlier revision asked for? Where either was made before revisions were told, that is so for what was
 * there before a change that replaces its role. What a new workflow adopts counts as up to date until the job has served.
 */
export function isOutdated(
  { id, name, wanted, current }: ReplicaWorld,
  { spec, desired, memory }: PlanInput,
): boolean {
  const { revision } = spec.roles[id.role];
  const { rollout } = desired;
  if (!wanted || !current?.actor || !(memory.served || rollout)) return false;
  const own = current.actor.revision;
  if (own === revision) return false;
  if (own !== undefined && revision !== undefined) return true;
  const isRolling = rollout !== undefined && (rollout.rolling ?? roles).includes(id.role);
  return isRolling && current.generation <= (rollout.since[name] ?? 0);
}

/** Was it asked to make way, as soon as it can be spared? */
export const isRelieved = (
  { name, wanted, current }: ReplicaWorld,
  { desired }: Pick<PlanInput, "desired">,
): boolean =>
  wanted && current !== undefined && current.generation <= (desired.relieved?.[name] ?? 0);

/** Is it to be replaced by a newer generation, for either reason? */
export const isDue = (replica: ReplicaWorld, input: PlanInput): boolean =>
  isOutdated(replica, input) || isRelieved(replica, input);

/** Is the version of what the new revision runs still to be asked for? Nothing is spared for it before. */
export const isCommandNew = ({ desired, memory }: PlanInput): boolean =>
  desired.rollout !== undefined && memory.engine === undefined;

/** The same, as long as the answer may still be one: what is down is healed without, when there is none to be had. */
export const isCommandUnasked = (input: PlanInput): boolean =>
  isCommandNew(input) && refusedEngine(input) === undefined;

/** What the engines' version has against the job. That it could not be asked is no verdict: it is asked again. */
export const refusedEngine = ({ memory }: PlanInput): Failure | undefined => {
  const failure = memory.failures["engine"];
  return failure && !isRetryable[failure.code] ? failure : undefined;
};
