/** One step that was tried, and whether it hit what it was meant for. */
export interface Attempt {
  readonly kind: string;
  readonly struck: boolean;
}

/** A kind that missed so often, and never hit, cannot hit at all: the harness is broken, not the job lucky. */
const missesMax = 3;

type Counts = ReadonlyMap<string, { readonly struck: number; readonly tried: number }>;

function countsOf(attempts: readonly Attempt[]): Counts {
  const counts = new Map<string, { struck: number; tried: number }>();
  for (const { kind, struck } of attempts) {
    const { struck: before = 0, tried = 0 } = counts.get(kind) ?? {};
    counts.set(kind, { struck: before + (struck ? 1 : 0), tried: tried + 1 });
  }
  return counts;
}

/** `killEngine 2 of 3, loseRay 1 of 1`, by name. */
export const tallyOf = (attempts: readonly Attempt[]): string =>
  [...countsOf(attempts)]
    .map(([kind, { struck, tried }]) => `${kind} ${struck} of ${tried}`)
    .toSorted()
    .join(", ");

/** Kinds that never struck, tried often enough to say so. */
export const neverStruck = (attempts: readonly Attempt[]): readonly string[] =>
  [...countsOf(attempts)]
    .filter(([, { struck, tried }]) => struck === 0 && tried >= missesMax)
    .map(([kind, { tried }]) => `${kind} was tried ${tried} times and never struck`)
    .toSorted();
