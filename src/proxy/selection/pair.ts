import type { Member } from "../../domain/observed.ts";
import type { Role } from "../../domain/role.ts";
import { choose } from "./choose.ts";
import type { Candidate } from "./choose.ts";
import type { Estimate } from "./load.ts";
import type { Pool } from "../members/membership.ts";

/**
 * Without a prefill the decode engine computes the prompt itself. `degraded`: because there is no prefill to ask, not
 * because the request wants it so.
 */
export type Pair = {
  readonly decode: Member;
  readonly prefill?: Member;
  readonly degraded?: true;
};

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
  readonly tokens: Estimate;
  readonly prefixHash?: number | undefined;
  readonly random: () => number;
}

/** It failed a short while ago, it is silent, or the two of a pair failed together. */
const doubted = 1;
/** With this very request: an untried one that is doubted is a better guess, whatever it is doubted for. */
const alreadyTried = 10;

/**
 * The pair for the next try. With the policy `decode-local` a decode alone, when the request has tried every prefill
 * there is, and for its last try: then something is wrong between the two roles that a third pair would hardly mend.
 */
export function chooseWay(
  pool: Pool,
  choice: Choice,
  { isLastTry }: { readonly isLastTry: boolean },
): Pair | undefined {
  const mayBeAlone = choice.withPrefill && pool.selection.withoutPrefill === "decode-local";
  if (!mayBeAlone) return choosePair(pool, choice);
  const pair = isLastTry ? undefined : choosePair(pool, choice);
  if (pair?.prefill && !choice.tried.has(pair.prefill.name)) return pair;
  const alone = choosePair(pool, { ...choice, withPrefill: false });
  return alone && { ...alone, degraded: true };
}

/** A prefill and a decode that may hand KV to each other, each the best of those; undefined when there is none. */
export function choosePair(pool: Pool, choice: Choice): Pair | undefined {
  const { tried, decode: only, withPrefill } = choice;
  const setbackOf = ({ name }: Member): number =>
    (tried.has(name) ? alreadyTried : 0) + (pool.isDoubtful(name) ? doubted : 0);
  const decodes = pool
    .members("decode")
    .filter(({ name }) => only === undefined || name === only)
    .map((member) => ({ member, setback: setbackOf(member) }));
  const pick = (role: Role, those: readonly Rated[]) => pickOf(pool, choice, role, those);
  if (!withPrefill) {
    const decode = pick("decode", decodes);
    return decode && { decode };
  }
  const partnersOf = (prefill: Member): readonly Rated[] =>
    decodes
      .filter(({ member }) => mayPair(prefill, member))
      .map(({ member, setback }) => ({
        member,
        setback: setback + (pool.areApart(prefill.name, member.name) ? doubted : 0),
      }));
  // A prefill is no better than the best decode that it leads to.
  const leastOf = leastSetbacks(pool, partnersOf);
  const prefills = pool.members("prefill").flatMap((member) => {
    const least = leastOf(member);
    return least === Infinity ? [] : [{ member, setback: setbackOf(member) + least }];
  });
  const prefill = pick("prefill", prefills);
  const decode = prefill && pick("decode", partnersOf(prefill));
  return decode && { prefill, decode };
}

type Rated = Pick<Candidate, "member" | "setback">;

/**
 * The smallest setback of a prefill's partners; Infinity when it has none. All prefills of one revision have the same
 * partners, so with hundreds of members not every pair is looked at.
 */
function leastSetbacks(pool: Pool, partnersOf: (prefill: Member) => readonly Rated[]) {
  const known = new Map<string, number>();
  return (prefill: Member): number => {
    const kind = prefill.pairings?.join() ?? "any";
    const least = pool.isKeptApart(prefill.name) ? undefined : known.get(kind);
    if (least !== undefined) return least;
    const found = Math.min(...partnersOf(prefill).map(({ setback }) => setback));
    if (!pool.isKeptApart(prefill.name)) known.set(kind, found);
    return found;
  };
}

function pickOf(
  pool: Pool,
  { tokens, prefixHash, random }: Choice,
  role: Role,
  rated: readonly Rated[],
): Member | undefined {
  const candidates = rated.map(({ member, setback }) => ({
    member,
    setback,
    load: pool.loadOf(member.name),
    weight: pool.weightOf(member.name),
    lastTurn: pool.lastTurnOf(member.name),
  }));
  const policy = pool.selection.policy[role];
  return choose(candidates, { policy, tokens: tokens.prompt, prefixHash, random });
}
