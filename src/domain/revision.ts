import { bytesOf, specBytesMax } from "./spec-shape.ts";
import type { Role } from "./role.ts";
import type { JobSpec } from "./spec.ts";

/** Revisions kept for `history` and `undo`; older ones are forgotten. */
export const revisionsMax = 10;
/** Bytes of their specs together; past it the oldest are forgotten. Room for the two that are always kept. */
export const revisionsBytesMax = 2 * specBytesMax;

/** A config that the job had, or has. Plain JSON. */
export interface Revision {
  /** 1 for the config that the job was started with; never reused. */
  readonly number: number;
  readonly atMs: number;
  /** How it came about: `start`, `apply`, `undo to 1`, `rollback to 1: …`. */
  readonly why: string;
  readonly spec: JobSpec;
}

/** The revision of that number, or the one before the newest; undefined when it is not kept. */
export const revisionAt = (
  revisions: readonly Revision[],
  number: number | undefined,
): Revision | undefined =>
  number === undefined ? revisions.at(-2) : revisions.find((one) => one.number === number);

/** Which of them are kept: the newest ones, and always that with which the job last served whole, to go back to. */
export function keptRevisions(
  revisions: readonly Revision[],
  settledRevision: number | undefined,
): readonly Revision[] {
  const newest = revisions.at(-1);
  const isKept = (one: Revision): boolean => one === newest || one.number === settledRevision;
  let left = revisions;
  let bytes = revisions.reduce((sum, { spec }) => sum + bytesOf(spec), 0);
  while (left.length > revisionsMax || bytes > revisionsBytesMax) {
    const oldest = left.find((one) => !isKept(one));
    if (!oldest) break;
    left = left.filter((one) => one !== oldest);
    bytes -= bytesOf(oldest.spec);
  }
  return left;
}

/** The change from one revision to another, as far as the planner needs to know it. */
export interface Rollout {
  readonly revision: number;
  /** What to go back to by itself when the new engines do not run; absent = nothing. */
  readonly previous?: number;
  /** By target, the generations when it began: newer ones are of the new revision. */
  readonly since: Readonly<Record<string, number>>;
  /** Whose engines it replaces, together with what was not settled before it; absent = both. */
  readonly rolling?: readonly Role[];
  readonly paused?: true;
  /** Somebody accepted that nothing serves for a while. */
  readonly outage?: true;
}

/** What a job's events say of it: whoever follows an update looks for these. */
export const pauseNotes = {
  paused: "the update is paused",
  resumed: "the update goes on",
} as const;

/** Engines that are meant to hand KV to each other, by their `kvRevision`. */
export interface Pairing {
  readonly number: number;
  readonly prefill: string;
  readonly decode: string;
}

/** Pairings that are known at once; engines of older ones are gone long since. */
const pairingsMax = revisionsMax;

/**
 * Those of these configs come last, as the ones whose engines may be running, and that of the last of them has the
 * highest number: of two kinds the newest is the wanted one.
 */
export function pairingsWith(
  pairings: readonly Pairing[],
  specs: readonly JobSpec[],
): readonly Pairing[] {
  const all = specs.reduce((known, spec) => withLast(known, spec), pairings);
  const [last, rest] = [all.at(-1), all.slice(0, -1)];
  const highest = Math.max(0, ...rest.map(({ number }) => number));
  if (!last) return all;
  const renewed = last.number > highest ? last : { ...last, number: highest + 1 };
  return [...rest, renewed].slice(-pairingsMax);
}

/** Nothing changes by a config of a version that did not tell what KV depends on. */
function withLast(pairings: readonly Pairing[], { roles: of }: JobSpec): readonly Pairing[] {
  const [prefill, decode] = [of.prefill.kvRevision, of.decode.kvRevision];
  if (prefill === undefined || decode === undefined) return pairings;
  const known = pairings.find((one) => one.prefill === prefill && one.decode === decode);
  const next = Math.max(0, ...pairings.map(({ number }) => number)) + 1;
  const last = known ?? { number: next, prefill, decode };
  return [...pairings.filter((one) => one !== known), last];
}

interface Paired {
  readonly pairings?: readonly number[];
}

/** Were these two ever meant to hand KV to each other? */
export const mayPair = (one: Paired, other: Paired): boolean =>
  one.pairings === undefined ||
  other.pairings === undefined ||
  one.pairings.some((number) => other.pairings?.includes(number));
