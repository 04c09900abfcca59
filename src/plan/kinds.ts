import type { Member } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { mayPair } from "../domain/revision.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import { highestNamedIndex } from "../domain/scale.ts";
import { rolloutOf } from "../domain/spec.ts";

/*
 * Other people's proxies pair anybody with anybody. While engines of two kinds run that must not hand KV to each other, such
 * a proxy is told of one kind alone: of the old one until the new one can do as much, and then of the new one.
 *
 * With n wanted replicas of a role and s more while they are replaced, the new kind can do as much once no more than half of
 * n + s are left of the old one. So that is how far the old kind goes down, in the steps in which the new one comes up.
 */

/** Those of them that such a proxy is told of. */
export function oneKind(members: readonly Member[], input: PlanInput): readonly Member[] {
  const numbers = [...new Set(members.flatMap(({ pairings = [] }) => pairings))];
  if (arePartners(members) || numbers.length === 0) return members.map(withoutPairings);
  const target = targetOf(input);
  const kinds = numbers.flatMap((number) =>
    roles.map((first) => {
      const own = kindOf(number, first, members);
      const isTarget = number === target;
      return { own, isTarget, number, share: shareOf(own, input), fills: fills(own, input) };
    }),
  );
  const [best] = kinds.toSorted(
    (a, b) =>
      Number(b.fills) - Number(a.fills) ||
      b.share - a.share ||
      // Of two that can do the same the job goes on to the new one, unless its proxy could not be started with that yet.
      (Number(b.isTarget) - Number(a.isTarget)) * (a.fills ? 1 : -1) ||
      b.number - a.number,
  );
  return (best?.own ?? members).map(withoutPairings);
}

/** Those of one role that belong to this pairing, and of the other all that may be paired with each of them. */
function kindOf(number: number, first: Role, members: readonly Member[]): readonly Member[] {
  const isOf = ({ role, pairings }: Member): boolean =>
    role === first && (pairings?.includes(number) ?? true);
  const own = members.filter(isOf);
  return members.filter((one) =>
    one.role === first ? isOf(one) : own.every((other) => mayPair(one, other)),
  );
}

/** May each prefill replica be paired with each decode replica? When one role changes alone, they may. */
const arePartners = (members: readonly Member[]): boolean =>
  members.every((one) => members.every((other) => one.role === other.role || mayPair(one, other)));

function withoutPairings({ name, role, url, ports }: Member): Member {
  return { name, role, url, ...(ports ? { ports } : {}) };
}

/** Of the job's own config. */
const targetOf = ({ spec, desired }: PlanInput): number | undefined =>
  desired.pairings?.find((pairing) =>
    roles.every((role) => pairing[role] === spec.roles[role].kvRevision),
  )?.number;

/** How much of what is wanted they can do: the scarcer role decides. */
const shareOf = (members: readonly Member[], { desired }: PlanInput): number =>
  Math.min(...roles.map((role) => countOf(role, members) / desired.replicas[role]));

/** A command may name replicas by number: it takes so many of one kind. */
const fills = (members: readonly Member[], { spec }: PlanInput): boolean =>
  roles.every(
    (role) => highestNamedIndex(spec.scheduler.command ?? [], role) <= countOf(role, members),
  );

const countOf = (role: Role, members: readonly Member[]): number =>
  members.filter((member) => member.role === role).length;

/** How far the old kind of a role goes down before the new one takes its place. */
export function leastOf(
  role: Role,
  { spec, desired }: Pick<PlanInput, "spec" | "desired">,
): number {
  const { replicas } = desired;
  const gpus = roles.reduce((sum, one) => sum + replicas[one] * spec.roles[one].numGpus, 0);
  const each = roles.reduce((sum, one) => sum + spec.roles[one].numGpus, 0);
  const room = each === 0 ? Infinity : Math.floor((spec.numGpus - gpus) / each);
  const all = replicas[role] + Math.max(0, Math.min(rolloutOf(spec).surge, room));
  const named = highestNamedIndex(spec.scheduler.command ?? [], role);
  return Math.max(1, Math.min(Math.floor(all / 2), all - named));
}
