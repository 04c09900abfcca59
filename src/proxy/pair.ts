import type { Member } from "../domain/observed.ts";
import { choose } from "./choose.ts";
import type { Pool } from "./membership.ts";

/** Without a prefill the decode engine computes the prompt itself. */
export type Pair = { readonly decode: Member; readonly prefill?: Member };

/**
 * Engines of two revisions whose KV does not fit together share no pairing, and are never asked to hand it over. The same
 * question as in `src/domain/revision.ts`, of which this bundle may import types alone: one table holds both to one answer.
 */
export const mayPair = (one: Member, other: Member): boolean =>
  one.pairings === undefined ||
  other.pairings === undefined ||
  one.pairings.some((number) => other.pairings?.includes(number));

export interface Choice {
  readonly tried: ReadonlySet<string>;
  /** Whom alone the decode may be asked of. */
  readonly decode?: string;
  readonly withPrefill: boolean;
  readonly turn: number;
}

/** A prefill and a decode that may hand KV to each other, each the least busy of those; undefined when there is none. */
export function choosePair(
  pool: Pool,
  { tried, decode: only, withPrefill, turn }: Choice,
): Pair | undefined {
  const pick = (members: readonly Member[]): Member | undefined => {
    const candidates = members.map((member) => ({
      member,
      inFlight: pool.countOf(member.name),
      suspect: pool.isSuspect(member.name),
    }));
    return choose(candidates, tried, turn);
  };
  const decodes = pool.members("decode").filter(({ name }) => only === undefined || name === only);
  if (!withPrefill) {
    const decode = pick(decodes);
    return decode && { decode };
  }
  const partnersOf = (others: readonly Member[]): readonly Member[] =>
    pool.members("prefill").filter((one) => others.some((other) => mayPair(one, other)));
  // A prefill whose only partners have just failed would lead to one of them again.
  const sound = decodes.filter(({ name }) => !tried.has(name) && !pool.isSuspect(name));
  const preferred = partnersOf(sound);
  const prefill = pick(preferred.length > 0 ? preferred : partnersOf(decodes));
  const decode = prefill && pick(decodes.filter((one) => mayPair(prefill, one)));
  return decode && { prefill, decode };
}
