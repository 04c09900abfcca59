/** What CI plays, which gives `--thorough` (`.ci/run`). */
export const isThorough = process.env["PDJOB_THOROUGH"] === "1";

/** How many random cases a property is tried with: `few` in `npm test`, `all` in CI. */
export const cases = (few: number, all: number): number => (isThorough ? all : few);
