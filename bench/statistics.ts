/** What a few rounds say: medians, ratios of medians, and how sure that is. */

export interface Interval {
  readonly value: number;
  /** Ends of the 95 % interval. */
  readonly low: number;
  readonly high: number;
}

/** One contender's figure in each round; the same place in two lists is the same round. */
export type Rounds = readonly number[];

const resamples = 2_000;
/** Any number: the same samples give the same interval. */
const seed = 0x5eed;

export function median(values: Rounds): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/** Median of one contender. */
export const medianOf = (values: Rounds): Interval =>
  bootstrap(values.length, (rounds) => median(pick(values, rounds)));

/**
 * Ratio of medians. Rounds are drawn whole, so that what disturbed the machine in one of them – it struck both – stays
 * in both.
 */
export const ratioOf = (above: Rounds, below: Rounds): Interval =>
  bootstrap(
    Math.min(above.length, below.length),
    (rounds) => median(pick(above, rounds)) / median(pick(below, rounds)),
  );

const pick = (values: Rounds, rounds: readonly number[]): Rounds =>
  rounds.map((round) => values[round] ?? Number.NaN);

function bootstrap(count: number, figure: (rounds: readonly number[]) => number): Interval {
  const all = Array.from({ length: count }, (_, round) => round);
  const next = dice(seed);
  const drawn = Array.from({ length: resamples }, () =>
    figure(all.map(() => Math.floor(next() * count))),
  ).toSorted((a, b) => a - b);
  const at = (share: number): number => drawn[Math.round(share * (resamples - 1))] ?? Number.NaN;
  return { value: figure(all), low: at(0.025), high: at(0.975) };
}

/** Numbers from 0 (included) to 1 that depend on the seed alone: mulberry32. */
function dice(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A, B, C, then C, B, A: what slows down or speeds up over time strikes all alike. */
export const orderOf = <T>(contenders: readonly T[], round: number): readonly T[] =>
  round % 2 === 0 ? contenders : contenders.toReversed();
