/**
 * How many random cases a property is tried with: `few` in `npm test`, `all` in CI, which gives
 * `--thorough` (`.ci/run`).
 */
export const cases = (few: number, all: number): number =>
  process.env["PDJOB_THOROUGH"] === "1" ? all : few;
