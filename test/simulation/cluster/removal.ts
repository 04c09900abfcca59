import { PdjobError } from "../../../src/domain/errors.ts";
import type { VerbResult } from "../../../src/ray/contract.ts";
import type { RayClient } from "./client.ts";
import { parseName } from "./names.ts";
import type { Name } from "./names.ts";

// agent/pdjob_agent/removal.py, call for call.
/** Grace of what a newer generation replaces, and of ranks whose rank 0 has ended. */
const shortGraceS = 5;
const stopMarginS = 15;

type Stopped = { readonly stopped: boolean };

export async function stopActor(
  ray: RayClient,
  name: string,
  graceS: number,
  by: string,
): Promise<Stopped> {
  if (!(await ray.actorNames()).includes(name)) return { stopped: false };
  await ray.ask(name, "stop", [graceS, by], (graceS + stopMarginS) * 1_000);
  await ray.kill(name);
  return { stopped: true };
}

/** Every rank, whichever of them a crash left behind; rank 0 first. */
export async function stopReplica(
  ray: RayClient,
  full: string,
  graceS: number,
  by: string,
): Promise<Stopped> {
  const wanted = replicaName(full);
  const names = (await ray.actorNames())
    .flatMap((name) => parseName(name) ?? [])
    .filter(({ whole }) => whole === wanted.whole);
  if (names.some(({ rank }) => rank === 0)) await stopActor(ray, wanted.whole, graceS, by);
  const followers = names.filter(({ rank }) => rank > 0).map((name) => name.full);
  const followersGraceS = Math.min(graceS, shortGraceS);
  if (followers.length > 0)
    await ray.askAll(
      followers,
      "stop",
      [followersGraceS, by],
      (followersGraceS + stopMarginS) * 1_000,
    );
  for (const name of followers) await ray.kill(name);
  return { stopped: names.length > 0 };
}

/** Older generations of the same replica or proxy go first; a newer one makes this request a mistake. */
export async function fence(ray: RayClient, wanted: Name): Promise<void> {
  const actors = await ray.actorNames();
  const groups = (await ray.groups()).map(({ name }) => name);
  const others = [...actors, ...groups]
    .flatMap((full) => parseName(full) ?? [])
    .filter(({ base }) => base === wanted.base);
  const newest = Math.max(0, ...others.map(({ generation }) => generation));
  if (newest > wanted.generation)
    throw new PdjobError(
      "StaleGeneration",
      `${wanted.full} was asked for, but generation ${newest} exists already.`,
    );
  const older = others.filter(({ generation }) => generation < wanted.generation);
  for (const whole of new Set(older.map((name) => name.whole))) {
    const stop = wanted.replica ? stopReplica : stopActor;
    await stop(ray, whole, shortGraceS, "fence");
    await ray.removeGroup(whole);
  }
}

/** Actors and groups are looked up apart: a crash can leave either without the other. */
export async function sweep(
  ray: RayClient,
  job: string,
  dryRun: boolean,
): Promise<VerbResult<"sweep">> {
  const belongs = (full: string): boolean => parseName(full)?.job === job;
  const actors = (await ray.actorNames()).filter(belongs);
  const groups = (await ray.groups()).map(({ name }) => name).filter(belongs);
  if (!dryRun) {
    for (const full of actors) await stopActor(ray, full, shortGraceS, "sweep");
    for (const full of groups) await ray.removeGroup(full);
  }
  return {
    removed: [
      ...actors.map((name) => ({ kind: "actor" as const, name })),
      ...groups.map((name) => ({ kind: "placementGroup" as const, name })),
    ],
  };
}

export function replicaName(full: string): Name {
  const name = parseName(full);
  if (!name?.replica) throw new PdjobError("SpecInvalid", `${full} is no replica's name.`);
  return name;
}
