import { PdjobError } from "../../../src/domain/errors.ts";
import type { VerbResult } from "../../../src/ray/contract.ts";
import type { RayClient } from "./client.ts";
import { parseName } from "./names.ts";
import type { Name } from "./names.ts";

// agent/pdjob_agent/removal.py, call for call.
/** Grace of what a newer generation replaces, and of ranks whose rank 0 has ended. */
const shortGraceS = 5;
const stopMarginS = 15;
const handOnTimeoutMs = 2_000;

type Stopped = { readonly stopped: boolean };

export async function stopProxy(ray: RayClient, full: string, graceS: number): Promise<Stopped> {
  const names = (await ray.actorNames()).filter((name) => name === full);
  await stopActors(ray, names, graceS, "stopProxy");
  return { stopped: names.length > 0 };
}

/** Every rank, whichever of them a crash left behind. */
export async function stopReplica(ray: RayClient, full: string, graceS: number): Promise<Stopped> {
  const wanted = replicaName(full);
  const names = (await namedActors(ray)).filter(({ whole }) => whole === wanted.whole);
  await stopWholes(ray, names, graceS, "stopReplica");
  return { stopped: names.length > 0 };
}

/** An older built-in proxy that hands on its listening socket goes on beside the newer one. */
export async function fenceProxy(
  ray: RayClient,
  wanted: Name,
  { builtin, graceS }: { readonly builtin: boolean; readonly graceS?: number },
): Promise<readonly unknown[]> {
  const names = (await namedActors(ray)).filter(({ base }) => base === wanted.base);
  const asked = names.filter(({ generation }) => builtin && generation < wanted.generation);
  const fulls = asked.map(({ full }) => full);
  const answers = fulls.length > 0 ? await ray.askAll(fulls, "hand_on", [], handOnTimeoutMs) : [];
  const handed = answers.flatMap(({ name, value }) => {
    const { socket } = (value ?? {}) as { readonly socket?: unknown };
    return socket === undefined ? [] : [{ name, socket }];
  });
  await fence(ray, wanted, graceS, new Set(handed.map(({ name }) => name)));
  return handed.map(({ socket }) => socket);
}

/** Older generations of the same replica or proxy go first; a newer one makes this request a mistake. */
export async function fence(
  ray: RayClient,
  wanted: Name,
  graceS = shortGraceS,
  spared: ReadonlySet<string> = new Set(),
): Promise<void> {
  const isOurs = ({ base }: Name): boolean => base === wanted.base;
  const isOlder = ({ generation }: Name): boolean => generation < wanted.generation;
  const actors = (await namedActors(ray)).filter(isOurs);
  const placed = (await ray.groups()).flatMap(({ name }) => parseName(name) ?? []).filter(isOurs);
  const newest = Math.max(0, ...[...actors, ...placed].map(({ generation }) => generation));
  if (newest > wanted.generation)
    throw new PdjobError(
      "StaleGeneration",
      `${wanted.full} was asked for, but generation ${newest} exists already.`,
    );
  const gone = actors.filter((name) => isOlder(name) && !spared.has(name.full));
  await stopWholes(ray, gone, graceS, "fence");
  await ray.removeGroups(placed.filter(isOlder).map(({ full }) => full));
}

/** Actors and groups are looked up apart: a crash can leave either without the other. */
export async function sweep(
  ray: RayClient,
  job: string,
  dryRun: boolean,
): Promise<VerbResult<"sweep">> {
  const actors = (await namedActors(ray)).filter((name) => name.job === job);
  const groups = (await ray.groups())
    .map(({ name }) => name)
    .filter((full) => parseName(full)?.job === job);
  if (!dryRun) {
    await stopWholes(ray, actors, shortGraceS, "sweep");
    await ray.removeGroups(groups);
  }
  return {
    removed: [
      ...actors.map(({ full }) => ({ kind: "actor" as const, name: full })),
      ...groups.map((name) => ({ kind: "placementGroup" as const, name })),
    ],
  };
}

const namedActors = async (ray: RayClient): Promise<readonly Name[]> =>
  (await ray.actorNames()).flatMap((full) => parseName(full) ?? []);

/** Proxies and replicas side by side; rank 0 before its followers. */
async function stopWholes(
  ray: RayClient,
  names: readonly Name[],
  graceS: number,
  by: string,
): Promise<void> {
  const fulls = (wanted: (rank: number) => boolean): readonly string[] =>
    names.filter(({ rank }) => wanted(rank)).map(({ full }) => full);
  await stopActors(
    ray,
    fulls((rank) => rank === 0),
    graceS,
    by,
  );
  await stopActors(
    ray,
    fulls((rank) => rank > 0),
    Math.min(graceS, shortGraceS),
    by,
  );
}

/** A lost actor is killed all the same. */
async function stopActors(
  ray: RayClient,
  names: readonly string[],
  graceS: number,
  by: string,
): Promise<void> {
  if (names.length === 0) return;
  await ray.askAll(names, "stop", [graceS, by], (graceS + stopMarginS) * 1_000);
  await ray.kill(names);
}

export function replicaName(full: string): Name {
  const name = parseName(full);
  if (!name?.replica) throw new PdjobError("SpecInvalid", `${full} is no replica's name.`);
  return name;
}
