import type { Memory, Reserving } from "../domain/memory.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { Bundle } from "../domain/spec.ts";
import { isGivenUp } from "./members.ts";
import { layoutOf } from "./placement.ts";
import type { World } from "./world.ts";

/*
 * A first deployment reserves all that it wants before any engine starts. Two that do so at once may each get a part, and
 * neither the rest. So one that has had to wait for the rest for a while gives back what it has, and asks for all of it
 * again later. How long it waits has a random part, so that two jobs do not go on in step: it is drawn from the job's name
 * and the number of the attempt, so that a plan still follows from its input alone.
 */

/** A part is held for so long while the rest is missing, and for up to so long again. */
const holdMs = 5_000;
/** Nothing is held for so long, and for up to `pauseSpreadMs` more; both twice as long each time, up to a limit. */
const pauseMs = 2_000;
const pauseSpreadMs = 6_000;
const pauseGrowthMax = 4;

/** Does a first deployment still lack something, so that no engine may start yet? */
export const isShort = (world: World, input: PlanInput): boolean =>
  isReserving(world, input) && lacksGroups(world, input);

/** What memory is to hold from now on about the reservation of the whole; undefined when there is nothing to remember. */
export function nextReserving(world: World, input: PlanInput): Reserving | undefined {
  if (!isReserving(world, input)) return undefined;
  const { nowMs, spec } = input;
  const { attempt = 1, againAtMs, heldUpSinceMs } = input.memory.reserving ?? {};
  const pause = (): Reserving => ({
    attempt: attempt + 1,
    againAtMs: nowMs + pauseAfter(spec.name, attempt),
  });
  if (againAtMs !== undefined) {
    if (nowMs < againAtMs || isHolding(world, input)) return { attempt, againAtMs };
    return mayFit(world, input) ? { attempt } : pause();
  }
  if (!lacksGroups(world, input) || !isHeldUp(world, heldUpSinceMs))
    return attempt > 1 ? { attempt } : undefined;
  const sinceMs = heldUpSinceMs ?? nowMs;
  return nowMs >= givesBackAtMs(spec.name, { attempt, heldUpSinceMs: sinceMs })
    ? pause()
    : { attempt, heldUpSinceMs: sinceMs };
}

/** When to look again for the sake of a part that is held. */
export const giveBackWake = ({ spec, memory: { reserving } }: PlanInput): readonly number[] =>
  reserving?.heldUpSinceMs === undefined ? [] : [givesBackAtMs(spec.name, reserving)];

/** Is all that was reserved given back, or about to be? */
export const isPausing = ({ reserving }: Memory): boolean => reserving?.againAtMs !== undefined;

export const withReserving = (memory: Memory, reserving: Reserving | undefined): Memory => {
  const { reserving: _, ...rest } = memory;
  return reserving ? { ...rest, reserving } : rest;
};

/** Before the first engine of a first deployment. What was adopted, or is left of a crash, has begun already. */
const isReserving = ({ replicas }: World, { memory, desired, inFlight }: PlanInput): boolean =>
  !memory.served &&
  !desired.stop &&
  !inFlight.some(({ kind }) => kind === "startPrefill" || kind === "startDecode") &&
  replicas.every(({ current, stale }) =>
    [...(current ? [current] : []), ...stale].every(
      ({ actor, followers }) => !actor && followers.length === 0,
    ),
  );

const lacksGroups = ({ replicas }: World, input: PlanInput): boolean =>
  replicas.some(
    (one) => one.wanted && one.current?.group?.state !== "CREATED" && !isGivenUp(one, input),
  );

/** Ray said once that others hold the rest, and what is held here may be what those wait for. */
function isHeldUp({ replicas }: World, heldUpSinceMs: number | undefined): boolean {
  const groups = replicas.flatMap(({ current }) => current?.group ?? []);
  const isTold = groups.some(({ schedulingState }) => schedulingState === "NO_RESOURCES");
  return groups.some(({ state }) => state === "CREATED") && (isTold || heldUpSinceMs !== undefined);
}

const isHolding = ({ replicas }: World, { inFlight }: PlanInput): boolean =>
  replicas.some(({ current, stale }) => current !== undefined || stale.length > 0) ||
  inFlight.some(({ kind }) => kind === "reservePlacementGroup" || kind === "removePlacementGroup");

/** Are there as many free GPUs and CPUs, wherever they are, as all of it takes? Where even that is not so, it cannot fit. */
function mayFit(world: World, input: PlanInput): boolean {
  const { nodes } = input.observed;
  if (nodes === undefined) return true;
  const needed = wholeNeed(world, input);
  const alive = nodes.filter((node) => node.alive);
  return (["GPU", "CPU"] as const).every(
    (kind) => alive.reduce((sum, { available }) => sum + available[kind], 0) >= needed[kind],
  );
}

/** What a job reserves in all. */
export function wholeNeed(
  { replicas }: World,
  { spec, observed: { nodes } }: PlanInput,
): Required<Bundle> {
  const bundles = replicas
    .filter(({ wanted }) => wanted)
    .flatMap(({ id }) => layoutOf(spec, id.role, nodes).bundles);
  const sumOf = (kind: keyof Bundle): number =>
    bundles.reduce((sum, bundle) => sum + (bundle[kind] ?? 0), 0);
  return { GPU: sumOf("GPU"), CPU: sumOf("CPU") };
}

const givesBackAtMs = (
  job: string,
  { attempt, heldUpSinceMs = 0 }: Omit<Reserving, "againAtMs">,
): number => heldUpSinceMs + holdMs * (1 + draw(`${job} holds ${attempt}`));

function pauseAfter(job: string, attempt: number): number {
  const growth = Math.min(2 ** (attempt - 1), pauseGrowthMax);
  return growth * (pauseMs + pauseSpreadMs * draw(`${job} pauses ${attempt}`));
}

/** From 0 to 1, always the same for a text: FNV-1a, mixed so that texts that differ little are drawn far apart. */
function draw(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text)
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
