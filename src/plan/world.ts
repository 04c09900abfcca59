import { httpUrl, incarnationName, parseIncarnation, replicaName } from "../domain/names.ts";
import type {
  Member,
  ObservedFollower,
  ObservedPlacementGroup,
  ObservedProxy,
  ObservedReplica,
} from "../domain/observed.ts";
import type { Desired } from "../domain/memory.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { Pairing } from "../domain/revision.ts";
import { roles } from "../domain/role.ts";
import type { ReplicaId } from "../domain/role.ts";
import type { Bundle } from "../domain/spec.ts";

/** One generation of a replica, as far as anything of it exists in Ray. */
export interface Incarnation {
  readonly name: string;
  readonly generation: number;
  readonly group?: ObservedPlacementGroup;
  /** Of rank 0, which answers for the replica. */
  readonly actor?: ObservedReplica;
  /** The other ranks of a gang. */
  readonly followers: readonly ObservedFollower[];
}

/** The bundles of a gang, as its placement group was cut; undefined for a replica on one node. */
export function gangBundles({ group }: Incarnation): readonly Bundle[] | undefined {
  const bundles = group?.bundles ?? [];
  return bundles.length > 1 ? bundles : undefined;
}

/** A replica that is wanted, or of which something is left. */
export interface ReplicaWorld {
  readonly id: ReplicaId;
  readonly name: string;
  readonly wanted: boolean;
  /** `current` is to make way for a newer generation, as somebody asked. */
  readonly retired: boolean;
  /** A rollout has it beyond the wanted ones, for a while. */
  readonly surge?: true;
  /** Newest generation that exists, if any. */
  readonly current?: Incarnation;
  /** Older generations that still exist; only a crash between two steps leaves any. */
  readonly stale: readonly Incarnation[];
}

export interface World {
  readonly replicas: readonly ReplicaWorld[];
  readonly proxy?: ObservedProxy;
  /** Older generations: of the built-in proxy, those that the newest takes over from. */
  readonly staleProxies: readonly ObservedProxy[];
  /** A first deployment does not have all of its placement groups yet: no engine starts. */
  readonly short?: boolean;
  /** Targets that an action in flight works on. */
  readonly busy: ReadonlySet<string>;
}

/** Of a job, the newest first: while one takes over from another there are two. */
export const allProxies = ({ proxy, staleProxies }: World): readonly ObservedProxy[] => [
  ...(proxy ? [proxy] : []),
  ...staleProxies,
];

/** Sorts what was observed by replica, so that the rules can ask about one replica at a time. */
export function lookAt(input: PlanInput): World {
  const { spec, desired, observed, inFlight } = input;
  const ids = new Map<string, ReplicaId>();
  for (const role of roles) {
    const count = desired.stop ? 0 : desired.replicas[role];
    for (let index = 0; index < count; index++)
      ids.set(replicaName({ role, index }), { role, index });
  }
  const wanted = new Set(ids.keys());
  const incarnations = incarnationsOf(spec.name, observed);
  for (const { id } of incarnations) ids.set(replicaName(id), id);

  const replicas = [...ids].map(([name, id]): ReplicaWorld => {
    const own = incarnations
      .filter((one) => replicaName(one.id) === name)
      .toSorted((a, b) => b.generation - a.generation);
    const [current, ...stale] = own;
    const retired = current !== undefined && isLeaving(name, current.generation, input);
    return { id, name, wanted: wanted.has(name), retired, stale, ...(current ? { current } : {}) };
  });
  const [proxy, ...staleProxies] = observed.proxies.toSorted((a, b) => b.generation - a.generation);
  return {
    replicas: replicas.toSorted(inOrder),
    ...(proxy ? { proxy } : {}),
    staleProxies,
    busy: new Set(inFlight.map((action) => action.target)),
  };
}

/** Was a newer generation of this target asked for? */
export const isRetired = (target: string, generation: number, { retired }: Desired): boolean =>
  generation <= (retired?.[target] ?? 0);

/** Is it to be replaced, or was it stopped already? Then only the rest of it is left. */
export const isLeaving = (
  replica: string,
  generation: number,
  { desired, memory }: Pick<PlanInput, "desired" | "memory">,
): boolean =>
  isRetired(replica, generation, desired) || generation <= (memory.stopped[replica] ?? 0);

function incarnationsOf(job: string, observed: PlanInput["observed"]) {
  const groups = new Map(observed.placementGroups.map((group) => [group.name, group]));
  const actors = new Map(observed.replicas.map((actor) => [actor.name, actor]));
  const ranks = (observed.followers ?? []).map((follower) => ({
    whole: incarnationName(job, follower, follower.generation),
    follower,
  }));
  const names = [...groups.keys(), ...actors.keys(), ...ranks.map(({ whole }) => whole)];
  return [...new Set(names)].flatMap((name) => {
    const parsed = parseIncarnation(name);
    if (!parsed || parsed.job !== job) return [];
    const { role, index, generation } = parsed;
    const group = groups.get(name);
    const actor = actors.get(name);
    const followers = ranks.flatMap(({ whole, follower }) => (whole === name ? [follower] : []));
    return [
      {
        id: { role, index },
        name,
        generation,
        followers,
        ...(group ? { group } : {}),
        ...(actor ? { actor } : {}),
      },
    ];
  });
}

const inOrder = (a: ReplicaWorld, b: ReplicaWorld): number =>
  roles.indexOf(a.id.role) - roles.indexOf(b.id.role) || a.id.index - b.id.index;

/** The membership entry of a replica; undefined when its endpoint is not known. */
export function memberOf(
  actor: ObservedReplica,
  pairings: readonly Pairing[] = [],
): Member | undefined {
  if (!actor.endpoint) return undefined;
  const { http, ...ports } = actor.endpoint.ports;
  return {
    name: actor.name,
    role: actor.role,
    url: httpUrl(actor.endpoint.host, http),
    ...(Object.keys(ports).length > 0 ? { ports } : {}),
    ...pairingsOf(actor, pairings),
  };
}

/** Nothing for an engine that does not tell: it counts as one that anybody may be paired with. */
function pairingsOf(
  { role, kvRevision }: ObservedReplica,
  pairings: readonly Pairing[],
): Pick<Member, "pairings"> {
  if (pairings.length < 2 || kvRevision === undefined) return {};
  const own = pairings.filter((pairing) => pairing[role] === kvRevision);
  return { pairings: own.map(({ number }) => number) };
}

export const sameMembers = (a: readonly Member[], b: readonly Member[]): boolean =>
  a.length === b.length && a.every((one) => b.some((other) => isSameMember(one, other)));

const isSameMember = (one: Member, other: Member): boolean =>
  one.name === other.name &&
  one.url === other.url &&
  String(one.pairings) === String(other.pairings);

/** Is it the replica's current generation that serves as this member? */
export const isOf = ({ current }: ReplicaWorld, { name }: Member): boolean =>
  current?.name === name;
