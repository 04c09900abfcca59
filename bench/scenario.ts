import type { Load, LoadResult } from "./wire.ts";

/** What is measured, of whom, and how long. */

export const scenarioNames = [
  "request",
  "long-prompt",
  "streams",
  "half-rate",
  "membership",
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface Sample extends LoadResult {
  readonly scenario: ScenarioName;
  readonly contender: string;
  readonly round: number;
  /** Of a change of members: from telling the proxy to the newcomer's first request. */
  readonly firstRequestMs?: number;
}

export interface Mode extends Pick<Load, "warmUpMs" | "windowMs" | "cpuMinMs" | "rampMs"> {
  readonly rounds: number;
  /** Before the rounds, unmeasured: what is compiled as it runs is compiled then. */
  readonly firstMs: number;
}

export const modes = {
  full: {
    rounds: 7,
    warmUpMs: 300,
    windowMs: 2_000,
    cpuMinMs: 300,
    rampMs: 10_000,
    firstMs: 10_000,
  },
  quick: { rounds: 3, warmUpMs: 200, windowMs: 500, cpuMinMs: 100, rampMs: 3_000, firstMs: 2_000 },
} as const satisfies Readonly<Record<string, Mode>>;

/** Between two tokens of a stream: faster than nearly all engines. */
export const tokenMs = 10;

type Shape = Pick<Load, "clients" | "promptBytes" | "perSecond" | "tokenMs">;

export const shapes: Readonly<Record<ScenarioName, Shape>> = {
  request: { clients: 32, promptBytes: 1_024 },
  "long-prompt": { clients: 32, promptBytes: 200 * 1_024 },
  streams: { clients: 256, promptBytes: 1_024, tokenMs },
  // Of many clients few are busy at a time; those that wait for a slow answer keep nobody from sending.
  "half-rate": { clients: 128, promptBytes: 1_024 },
  membership: { clients: 32, promptBytes: 1_024 },
};
