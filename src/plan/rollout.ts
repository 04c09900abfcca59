import type { Member } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { mayPair } from "../domain/revision.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import { rolloutOf } from "../domain/spec.ts";
import { isWithoutPartner } from "./canary.ts";
import { firstLine } from "./condemn.ts";
import { leastOf } from "./kinds.ts";
import { heldBack, isGivenUp, servingMembers } from "./members.ts";
import { isCommandNew, isDue, isOutdated, isRelieved, refusedEngine } from "./outdated.ts";
import { addSurge, keepSurge, whyNoRoom } from "./surge.ts";
import { isOf } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

/** The actions after which a replica does not come back to the proxy. */
const leaving: ReadonlySet<string> = new Set([
  "drainReplica",
  "stopReplica",
  "removePlacementGroup",
]);

/**
 * Replaces the replicas that run an earlier revision, as many at once as can be spared, and makes one more where none
 * can. Level-triggered like everything else: who makes way follows from who serves now, so a rollout that is interrupted
 * by anything, a newer revision included, goes on from whatever is there.
 *
 * What does not serve makes way at once. What serves makes way as long as, without it, each role keeps as many that
 * serve as the budget says, each with a partner that it may hand KV to. Nor does one that is not wanted any more leave
 * before another of its role serves.
 */
export function rollOut(world: World, input: PlanInput): World {
  if (input.desired.stop) return world;
  const serving = servingMembers(world, input);
  const replicas = keepSurge(world, input).map((replica) =>
    isAway(replica, serving, input) ? { ...replica, retired: true } : replica,
  );
  if (!serving) return { ...world, replicas };
  const stays = serving.filter(
    (member) => !replicas.some((one) => one.retired && isOf(one, member)),
  );
  const kept = relieve(keepLast({ replicas, serving: stays }), input);
  return { ...world, replicas: isHalted(input) ? kept.replicas : goOn(kept, world, input) };
}

/**
 * Whom somebody asked to be restarted makes way once another of its role serves. Where none does, nor is about to, there
 * is one more beside it for a while.
 */
function relieve({ replicas, serving }: Standing, input: PlanInput): Standing {
  const due = replicas.filter((one) => !one.retired && isRelieved(one, input)).toReversed();
  const { left, taken } = takeOut(due, serving, () => 1);
  const stay = replicas.map((one) => (taken.has(one.name) ? { ...one, retired: true } : one));
  const stuck = due.filter((one) => !taken.has(one.name) && !hasHeir(one, stay, input));
  return { serving: left, replicas: addSurge(stay, stuck, input) };
}

/** Is there another of its role that serves, or will? */
const hasHeir = ({ id, name }: ReplicaWorld, replicas: readonly ReplicaWorld[], input: PlanInput) =>
  replicas.some(
    (one) => one.id.role === id.role && one.name !== name && one.wanted && !isGivenUp(one, input),
  );

/** How far a turn has come in deciding who stays. */
interface Standing {
  readonly replicas: readonly ReplicaWorld[];
  /** Without those of whom it is decided that they leave. */
  readonly serving: readonly Member[];
}

const isHalted = (input: PlanInput): boolean =>
  input.desired.rollout?.paused === true || isCommandNew(input);

/** Keeps an unwanted replica as long as nobody else of its role serves. */
function keepLast({ replicas, serving }: Standing): Standing {
  const unwanted = replicas.filter(({ wanted }) => !wanted).toReversed();
  const { left, taken } = takeOut(unwanted, serving, () => 1);
  const last = unwanted.filter((one) => !taken.has(one.name) && left.some((it) => isOf(one, it)));
  return {
    serving: left,
    replicas: replicas.map((one) => (last.includes(one) ? { ...one, wanted: true } : one)),
  };
}

/** The next step: the outdated replicas that can be spared together, the highest index first, or one more beside them. */
function goOn({ replicas, serving }: Standing, world: World, input: PlanInput) {
  const outdated = replicas.filter((one) => !one.retired && isOutdated(one, input)).toReversed();
  const own = outdated.filter(({ surge }) => !surge);
  const floor = floorsOf({ ...world, replicas }, input);
  const spared = takeOut(own, serving, floor, isAlone(input));
  const extra = outdated.filter(({ surge }) => surge);
  const leave = ({ taken }: { readonly taken: ReadonlySet<string> }) =>
    replicas.map((one) => (taken.has(one.name) ? { ...one, retired: true } : one));
  const taken = new Set([...spared.taken, ...takeOut(extra, spared.left, floor).taken]);
  if (taken.size > 0) return leave({ taken });
  if (isUnderWay({ ...world, replicas }, input)) return replicas;
  const heldUp = outdated.filter((one) => serving.some((member) => isOf(one, member)));
  const more = addSurge(replicas, heldUp, input);
  // One that was made for a revision that is outdated itself by now may be what keeps another from being made.
  return more.length > replicas.length ? more : leave(takeOut(extra, serving, () => 1));
}

/**
 * Who of these can leave together, in this order, so that each role keeps `floor` members that serve; a role that has
 * fewer keeps what it has. One without a partner serves nobody.
 */
function takeOut(
  candidates: readonly ReplicaWorld[],
  serving: readonly Member[],
  floor: (role: Role) => number,
  alone = false,
) {
  const taken = new Set<string>();
  let left = serving;
  for (const replica of candidates) {
    const without = left.filter((member) => !isOf(replica, member));
    if (without.length === left.length) continue;
    const before = left;
    const isEnough = roles.every(
      (role) =>
        countOf(role, without, alone) >= Math.min(floor(role), countOf(role, before, alone)),
    );
    if (!isEnough) continue;
    left = without;
    taken.add(replica.name);
  }
  return { taken, left };
}

/** With an outage accepted a partner is not asked for. */
const isAlone = ({ desired }: PlanInput): boolean => desired.rollout?.outage === true;

/** Members of a role that must go on serving. */
export function floorOf(
  role: Role,
  { desired, spec }: Pick<PlanInput, "desired" | "spec">,
): number {
  const { unavailable } = rolloutOf(spec);
  const wanted = desired.replicas[role];
  if (!desired.rollout?.outage) return Math.max(1, wanted - unavailable);
  // Who accepts an outage accepts that one is spared, whatever the budget says.
  return wanted === 1 ? 0 : Math.max(1, wanted - Math.max(1, unavailable));
}

/** The same, less those that wait until they can take the place of the old kind, as far as that may go down. */
function floorsOf(world: World, input: PlanInput): (role: Role) => number {
  const waiting = heldBack(world, input);
  return (role) => {
    const floor = floorOf(role, input);
    const count = waiting.filter((one) => one.role === role).length;
    return count === 0 ? floor : Math.max(floor - count, Math.min(floor, leastOf(role, input)));
  };
}

/** Members of a role that serve: those with a partner. */
export const countOf = (role: Role, serving: readonly Member[], alone = false): number =>
  serving.filter((one) => one.role === role && (alone || hasPartner(one, serving))).length;

/** One that is to be replaced and that nobody misses: it does not serve, or has begun to leave. */
function isAway(
  replica: ReplicaWorld,
  serving: readonly Member[] | undefined,
  input: PlanInput,
): boolean {
  const { current, name } = replica;
  if (!current || !isDue(replica, input)) return false;
  const { inFlight, memory } = input;
  if (memory.drained.includes(current.name) || current.actor?.state === "starting") return true;
  if (inFlight.some(({ kind, target }) => target === name && leaving.has(kind))) return true;
  if (serving) return !serving.some((member) => isOf(replica, member));
  // Without a proxy that answers nobody knows who serves; before the first one nobody does.
  return !memory.served;
}

const hasPartner = (member: Member, serving: readonly Member[]): boolean =>
  serving.some((other) => other.role !== member.role && mayPair(member, other));

/** Does a replica come or go? Then who can be spared may change by itself. One that the proxy is to be told of comes yet. */
function isUnderWay(world: World, input: PlanInput): boolean {
  // For those that are held back it is for this rollout to go on.
  const settled = [...(servingMembers(world, input) ?? []), ...heldBack(world, input)];
  return world.replicas.some(
    (replica) =>
      !replica.wanted ||
      (!settled.some((member) => isOf(replica, member)) &&
        // One that waits for a partner of its own kind waits for this rollout to go on.
        !isWithoutPartner(replica, world, input)),
  );
}

/** Why nothing goes on although outdated replicas serve; undefined when something does, or all are new. */
export function whyHeldUp(world: World, input: PlanInput): string | undefined {
  const { replicas } = world;
  const lone = replicas.find((one) => !one.retired && isRelieved(one, input));
  const full = lone && !hasHeir(lone, replicas, input) && whyNoRoom(lone.id.role, replicas, input);
  if (full)
    return `${lone.name} cannot be spared for its restart, and ${full.why}: restart it with --allow-outage, or raise ${full.raise}`;
  const outdated = replicas.filter((replica) => isOutdated(replica, input));
  if (outdated.length === 0) return undefined;
  if (input.desired.rollout?.paused)
    return `the update is paused with ${outdated.length} of ${replicas.length} replicas outdated`;
  const refused = isCommandNew(input) && refusedEngine(input);
  if (refused) return `the update waits for another vLLM: ${firstLine(refused)}`;
  const [first] = outdated;
  if (!first || replicas.some(({ retired, surge }) => retired || surge) || isUnderWay(world, input))
    return undefined;
  const beside = whyNoRoom(first.id.role, replicas, input);
  return beside && `${first.name} cannot be spared, and ${beside.why}`;
}
