import type { Member } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { mayPair } from "../domain/revision.ts";
import { roles } from "../domain/role.ts";
import { highestNamedIndex } from "../domain/scale.ts";
import { isProven } from "./canary.ts";
import { oneKind } from "./kinds.ts";
import { condemned } from "./condemn.ts";
import { mayRestart } from "./restarts.ts";
import { allProxies, memberOf } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

/**
 * The replicas that the proxy may use now: wanted, healthy and proven. One whose actor is silent for a moment stays where it is:
 * the way from us to it says little about the way from the proxy to it, which passes over members that fail.
 */
export function eligibleMembers(world: World, input: PlanInput): readonly Member[] {
  const members = healthyMembers(world, input);
  return isToldOneKind(input) ? oneKind(members, input) : members;
}

/** The built-in proxy knows who may be paired with whom; and one that finds its members by itself is told of nobody. */
const isToldOneKind = ({ spec }: PlanInput): boolean =>
  spec.scheduler.membership !== "builtin" && spec.scheduler.membership !== "none";

/** Up to date, healthy and proven, and waiting until there are enough of them to take the place of the old kind. */
export function heldBack(world: World, input: PlanInput): readonly Member[] {
  if (!isToldOneKind(input)) return [];
  const eligible = eligibleMembers(world, input);
  return healthyMembers(world, input).filter(
    ({ name, role }) =>
      !eligible.some((one) => one.name === name) &&
      world.replicas.some(
        ({ current }) =>
          current?.name === name && current.actor?.revision === input.spec.roles[role].revision,
      ),
  );
}

const healthyMembers = (world: World, input: PlanInput): readonly Member[] =>
  world.replicas.flatMap((replica) =>
    replica.wanted && !replica.retired ? (healthyMember(replica, world, input) ?? []) : [],
  );

function healthyMember(replica: ReplicaWorld, world: World, input: PlanInput): Member | undefined {
  const actor = replica.current?.actor;
  if (!actor || condemned(replica, input)) return undefined;
  if (actor.state === "lost") {
    const known = allProxies(world).find(({ membership }) => membership)?.membership;
    return known?.members.find(({ name }) => name === actor.name);
  }
  const serves = actor.state === "healthy" && isProven(replica, world, input);
  return serves ? memberOf(actor, input.desired.pairings) : undefined;
}

/**
 * Whoever serves now, wanted or not: healthy, and known to the proxy that runs. Undefined while no proxy answers, or
 * it is not known whom its command line names: then nobody knows.
 */
export function servingMembers(world: World, input: PlanInput): readonly Member[] | undefined {
  const { proxy } = world;
  if (proxy?.state !== "healthy") return undefined;
  const healthy = world.replicas.flatMap((replica) =>
    replica.retired ? [] : (healthyMember(replica, world, input) ?? []),
  );
  if (input.spec.scheduler.membership === "none") return healthy;
  const command = input.memory.proxyCommand;
  const { proxyStarted } = input.memory;
  const isItsOwn = command?.generation === proxy.generation;
  const named = isItsOwn ? command.command : proxyStarted;
  const isNamed = isItsOwn || proxyStarted?.generation === proxy.generation;
  const known = proxy.membership?.members ?? (isNamed ? named?.members : undefined);
  return known && healthy.filter(({ name }) => known.some((member) => member.name === name));
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

/** Two that may hand KV to each other. */
export const hasFittingPair = (members: readonly Member[]): boolean =>
  members.some(
    (one) =>
      one.role === "prefill" &&
      members.some((other) => other.role === "decode" && mayPair(one, other)),
  );

/** Without a prefill the built-in proxy may have decode replicas compute prompts themselves. */
export const servesAlone = (
  members: readonly Member[],
  { scheduler }: PlanInput["spec"],
): boolean =>
  scheduler.membership === "builtin" &&
  scheduler.degraded?.prefill === "decode-local" &&
  members.some(({ role }) => role === "decode");

/** Is every replica there that can be expected, whether or not its kind is the one to be told of? One that was given up keeps nobody waiting. */
export function isComplete(members: readonly Member[], world: World, input: PlanInput): boolean {
  const expected = world.replicas.filter((replica) => replica.wanted && !isGivenUp(replica, input));
  return hasPair(members) && healthyMembers(world, input).length === expected.length;
}

export const isGivenUp = (replica: ReplicaWorld, input: PlanInput): boolean =>
  condemned(replica, input) !== undefined &&
  mayRestart(replica.name, input.memory, input.spec.restart, input.nowMs).kind === "exhausted";
