import { makeSpec } from "../../support/spec.ts";
import { firstKind } from "../schedule.ts";
import type { Schedule, Step, TimedStep } from "../schedule.ts";

const calmMs = 20_000;

interface Story {
  readonly decode?: number;
  readonly leaseS?: number;
  readonly stopGraceS?: number;
  readonly historyEventsMax?: number;
  readonly steps: readonly TimedStep[];
}

/** Each seed plays the same story with other latencies. One worker, so that nobody else takes over. */
const story =
  ({ decode = 1, leaseS = 0, stopGraceS = 5, steps, ...rest }: Story) =>
  (seed: number): Schedule => ({
    seed,
    gpus: [0, 12, 12],
    workers: 1,
    ...rest,
    jobs: [
      makeSpec({
        prefill: { replicas: 1, ...firstKind },
        decode: { replicas: decode, ...firstKind },
        leaseS,
        stopGraceS,
        restart: { restartsMax: 3, windowS: 120 },
      }),
    ],
    steps,
  });

const at = (atMs: number, step: Step): TimedStep => ({ atMs, step });

export const hang = story({ steps: [at(calmMs, { kind: "engineHangs", at: 0, forMs: 90_000 })] });

/** One engine is being stopped, which takes it its whole grace, while another one ends. */
export const exitBesideStop = story({
  decode: 2,
  stopGraceS: 40,
  steps: [
    at(calmMs, { kind: "engineHangs", at: 0, forMs: 90_000 }),
    at(calmMs + 20_000, { kind: "engineExits", at: 2 }),
  ],
});

export const proxyHang = story({ steps: [at(calmMs, { kind: "proxyHangs", forMs: 90_000 })] });

/** With a prefill and a decode, the third that may be restarted is the proxy. */
export const proxyRestart = story({
  steps: [
    at(calmMs, { kind: "requests", job: 0, decodeMs: [500, 8_000] }),
    at(calmMs + 500, { kind: "restart", job: 0, at: 2 }),
  ],
});

export const exit = story({ steps: [at(calmMs, { kind: "engineExits", at: 0 })] });

export const stopUnderLoad = story({
  steps: [
    at(calmMs, { kind: "requests", job: 0, decodeMs: [15_000] }),
    at(calmMs + 500, { kind: "stop", job: 0 }),
  ],
});

export const scaleDown = story({
  decode: 2,
  steps: [
    at(calmMs - 1_000, { kind: "requests", job: 0, decodeMs: [500] }),
    at(calmMs, { kind: "scale", job: 0, role: "decode", replicas: 1 }),
    at(calmMs + 20_000, { kind: "requests", job: 0, decodeMs: [500, 500, 500] }),
  ],
});

export const scaleUp = story({
  steps: [at(calmMs, { kind: "scale", job: 0, role: "decode", replicas: 3 })],
});

/** An engine dies, and whoever takes its place does not come up either, for a minute. */
export const crashLoop = story({
  steps: [
    at(calmMs, { kind: "engineExits", at: 0 }),
    ...Array.from({ length: 120 }, (_, index) =>
      at(calmMs + index * 500, { kind: "boot", job: 0, role: "prefill", takesMs: 50, fails: true }),
    ),
  ],
});

/** Both roles change at once, so that two kinds of engines run that must not be paired. */
export const update = story({
  decode: 2,
  steps: [at(calmMs, { kind: "apply", job: 0, changed: ["prefill", "decode"] })],
});

export const leaseOff = story({
  leaseS: 60,
  steps: [at(calmMs, { kind: "lease", job: 0, leaseS: 0 })],
});

/** A worker that Temporal has lost waits for a node while its job ends. */
export const lostWorker = (seed: number): Schedule => ({
  ...story({
    steps: [
      at(calmMs, { kind: "nodeDown", at: 0, forMs: 400 }),
      at(calmMs + 500, { kind: "nodeDown", at: 0, forMs: 60_000 }),
      at(calmMs + 500, { kind: "nodeDown", at: 1, forMs: 60_000 }),
      at(calmMs + 3_000, { kind: "workerIsolated", at: 0, forMs: 80_000 }),
      at(calmMs + 3_500, { kind: "cancel", job: 0 }),
    ],
  })(seed),
  workers: 2,
});

/** What is played where no bug is planted. */
export const stories = [
  hang,
  exitBesideStop,
  proxyHang,
  proxyRestart,
  exit,
  stopUnderLoad,
  scaleDown,
  scaleUp,
  crashLoop,
  update,
  leaseOff,
  lostWorker,
];
