import type { Member } from "../domain/observed.ts";

export interface Candidate {
  readonly member: Member;
  readonly inFlight: number;
  readonly suspect: boolean;
}

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
    inFlight + (suspect ? 1e6 : 0) + (tried.has(member.name) ? 1e9 : 0);
  const lowest = Math.min(...candidates.map(rank));
  const best = candidates.filter((candidate) => rank(candidate) === lowest);
  return best[turn % best.length]?.member;
}
