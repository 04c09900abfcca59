import type { Sample } from "../../bench/scenario.ts";

/** A round of nothing, to be told what matters of it. */
export const sampleOf = (of: Partial<Sample> & Pick<Sample, "scenario" | "contender">): Sample => ({
  round: 0,
  seconds: 2,
  requests: 1_000,
  failed: 0,
  changed: 0,
  tokens: 0,
  offered: 0,
  cpuMs: 0,
  rssMib: 0,
  p50Ms: 0,
  p99Ms: 0,
  errors: [],
  ...of,
});

/** Three rounds, in which the contender used so many ms for its 1,000 requests. */
export const requestsOf = (contender: string, cpuMs: readonly number[]): readonly Sample[] =>
  cpuMs.map((ms, round) => sampleOf({ scenario: "request", contender, round, cpuMs: ms }));
