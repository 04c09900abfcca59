import type { Member } from "../../domain/observed.ts";
import { rendezvous } from "./affinity.ts";
import type { Policy } from "../../domain/selection.ts";

export interface Candidate {
  readonly member: Member;
  /** Tokens in flight, see `load.ts`. */
  readonly load: number;
  /** Its share of the load, more than 0 and at most 1: less than 1 while it is new. */
  readonly weight: number;
  /** The count of requests when it got its last one; 0 = it never had one. */
  readonly lastTurn: number;
  /** What speaks against it, see `pair.ts`; 0 = nothing. */
  readonly setback: number;
}

export interface Wish {
  readonly policy: Policy;
  /** Tokens of the request itself. */
  readonly tokens: number;
  /** What prefix-affinity goes by; without it that is the same as least-loaded. */
  readonly prefixHash?: number | undefined;
  /** 0 (included) to 1 (excluded). */
  readonly random: () => number;
}

/**
 * So many times the load of the others, this request included, is much more than theirs. With 3 a prompt waits three times
 * as long behind others' long ones, and finds no more that is remembered (`test/proxy/policies.test.ts`).
 */
const affinityLoadMax = 1.25;

/**
 * The member for the next request. Those with the smallest setback are all that counts, so a member that nothing speaks
 * against comes first, and the last one is never left out.
 */
export function choose(candidates: readonly Candidate[], wish: Wish): Member | undefined {
  const lowest = Math.min(...candidates.map(({ setback }) => setback));
  const best = candidates.filter(({ setback }) => setback === lowest);
  return pick(best, wish)?.member;
}

function pick(candidates: readonly Candidate[], wish: Wish): Candidate | undefined {
  switch (wish.policy) {
    case "least-loaded":
      return leastLoaded(candidates);
    case "power-of-two":
      return leastLoaded(drawTwo(candidates, wish.random));
    case "prefix-affinity":
      return wish.prefixHash === undefined
        ? leastLoaded(candidates)
        : akin(candidates, wish.prefixHash, wish.tokens);
  }
}

/** A newcomer that has nothing to do is asked at once; what it has to do weighs more while it is new. */
const pressure = ({ load, weight }: Candidate): number => load / weight;

/** Ties go to who had no request for the longest time: by turns, when nobody has anything to do. */
const leastLoaded = (candidates: readonly Candidate[]): Candidate | undefined =>
  candidates.reduce<Candidate | undefined>((best, one) => {
    if (!best) return one;
    const difference = pressure(one) - pressure(best) || one.lastTurn - best.lastTurn;
    return difference < 0 ? one : best;
  }, undefined);

/** Two different ones, or all when there are no more. */
function drawTwo(candidates: readonly Candidate[], random: () => number): readonly Candidate[] {
  if (candidates.length <= 2) return candidates;
  const first = Math.floor(random() * candidates.length);
  const offset = 1 + Math.floor(random() * (candidates.length - 1));
  const second = (first + offset) % candidates.length;
  return candidates.filter((_, index) => index === first || index === second);
}

/** The least loaded one is never too loaded, so there is always one. */
function akin(
  candidates: readonly Candidate[],
  prefixHash: number,
  tokens: number,
): Candidate | undefined {
  const total = candidates.reduce((sum, one) => sum + pressure(one), 0);
  const isTooLoaded = (one: Candidate): boolean => {
    const others = (total - pressure(one)) / Math.max(1, candidates.length - 1);
    return pressure(one) > affinityLoadMax * (others + tokens);
  };
  const byName = candidates.map((candidate) => ({ name: candidate.member.name, candidate }));
  const ordered = rendezvous(byName, prefixHash).map(({ candidate }) => candidate);
  return ordered.find((one) => !isTooLoaded(one)) ?? ordered[0];
}
