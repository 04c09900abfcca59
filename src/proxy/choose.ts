import type { Member } from "../domain/observed.ts";

export interface Candidate {
  readonly member: Member;
  readonly inFlight: number;
  readonly suspect: boolean;
}

/** More than any member's requests in flight, so that every other member comes first. */
const suspectPenalty = 1_000_000;
/** More than a suspect's: an untried suspect is a better guess than one that has just failed this very request. */
const triedPenalty = 1_000 * suspectPenalty;

/**
 * The member for the next request: the least loaded one, ties by turn. Members that just failed, and those already tried
 * for this request, come last: a second try on the same member is still better than none.
 */
export function choose(
  candidates: readonly Candidate[],
  tried: ReadonlySet<string>,
  turn: number,
): Member | undefined {
  const rank = ({ member, inFlight, suspect }: Candidate): number =>
    inFlight + (suspect ? suspectPenalty : 0) + (tried.has(member.name) ? triedPenalty : 0);
  const lowest = Math.min(...candidates.map(rank));
  const best = candidates.filter((candidate) => rank(candidate) === lowest);
  return best[turn % best.length]?.member;
}
