import type { Member } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import { highestNamedIndex } from "../domain/scale.ts";
import { condemned } from "./condemn.ts";
import { mayRestart } from "./restarts.ts";
import { memberOf } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

/**
 * The replicas that the proxy may use now: wanted and healthy. One whose actor is silent for a moment stays where it is:
 * the way from us to it says little about the way from the proxy to it, which passes over members that fail.
 */
export function eligibleMembers(world: World, input: PlanInput): readonly Member[] {
  const routed = world.proxy?.membership?.members ?? [];
  return world.replicas.flatMap((replica) => {
    const actor = replica.current?.actor;
    if (!replica.wanted || replica.retired || !actor || condemned(replica, input)) return [];
    if (actor.state === "lost") return routed.filter(({ name }) => name === actor.name);
    return actor.state === "healthy" ? (memberOf(actor) ?? []) : [];
  });
}

/** Can the command be filled from these members alone? It may name replicas by number. */
export const namesNoOther = (
  members: readonly Member[],
  { scheduler }: PlanInput["spec"],
): boolean =>
  roles.every(
    (role) =>
      highestNamedIndex(scheduler.command ?? [], role) <=
      members.filter((member) => member.role === role).length,
  );

export const hasPair = (members: readonly Member[]): boolean =>
  roles.every((role) => members.some((member) => member.role === role));

/** Is every replica there that can be expected? One that was given up keeps nobody waiting. */
export function isComplete(members: readonly Member[], world: World, input: PlanInput): boolean {
  const expected = world.replicas.filter((replica) => replica.wanted && !isGivenUp(replica, input));
  return hasPair(members) && members.length === expected.length;
}

const isGivenUp = (replica: ReplicaWorld, input: PlanInput): boolean =>
  condemned(replica, input) !== undefined &&
  mayRestart(replica.name, input.memory, input.spec.restart, input.nowMs).kind === "exhausted";
