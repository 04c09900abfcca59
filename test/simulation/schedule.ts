import type { Role } from "../../src/domain/role.ts";
import { roles } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { makeSpec } from "../support/spec.ts";
import { createRandom } from "./random.ts";
import type { Random } from "./random.ts";

/** Something that somebody wants, or that goes wrong. `at`: which of those there are; taken modulo their number. */
export type Step =
  | { readonly kind: "scale"; readonly job: number; readonly role: Role; readonly replicas: number }
  | { readonly kind: "restart"; readonly job: number; readonly at: number }
  | { readonly kind: "apply"; readonly job: number; readonly changed: readonly Role[] }
  | { readonly kind: "undo"; readonly job: number }
  | { readonly kind: "lease"; readonly job: number; readonly leaseS: number }
  | { readonly kind: "stop" | "cancel" | "terminate"; readonly job: number }
  | { readonly kind: "startAgain"; readonly job: number }
  | { readonly kind: "requests"; readonly job: number; readonly decodeMs: readonly number[] }
  | {
      readonly kind: "boot";
      readonly job: number;
      readonly role: Role;
      readonly takesMs: number;
      readonly fails: boolean;
    }
  | { readonly kind: "engineExits" | "actorDies"; readonly at: number }
  | { readonly kind: "engineHangs" | "kvCut"; readonly at: number; readonly forMs: number }
  | { readonly kind: "proxyExits" | "proxyActorDies" }
  | { readonly kind: "proxyHangs"; readonly forMs: number }
  | { readonly kind: "nodeDown" | "nodeSilent"; readonly at: number; readonly forMs: number }
  | { readonly kind: "rayRestarts" | "rayBlocked" | "temporalDown"; readonly forMs: number }
  | { readonly kind: "agentDies" | "workerDies"; readonly at: number }
  | {
      readonly kind: "workerFrozen" | "workerIsolated";
      readonly at: number;
      readonly forMs: number;
    }
  | { readonly kind: "clockJumps"; readonly at: number; readonly byMs: number };

export interface TimedStep {
  readonly atMs: number;
  readonly step: Step;
}

/** A whole run as data: printed when it fails, cut down to what matters, and kept as a fixture once it is understood. */
export interface Schedule {
  readonly seed: number;
  readonly gpus: readonly number[];
  readonly workers: number;
  readonly historyEventsMax?: number;
  readonly jobs: readonly JobSpec[];
  readonly steps: readonly TimedStep[];
}

/** Of the config that a job is started with. */
export const firstKind = { revision: "r1", kvRevision: "r1" } as const;
const stepsMax = 12;
/** A replica of so many GPUs is a gang of two ranks on these nodes, which together hold all that may be asked for. */
const gangGpus = 4;
const gangNodes: readonly number[] = [0, ...Array.from({ length: 12 }, () => 3)];
const nodes: readonly (readonly number[])[] = [
  [0, 12, 12],
  [12, 12, 12],
  [0, 8, 8, 8],
  [0, 24],
];
const longLeaseS = 120;
/** None, and each way from the one that half of the jobs have. */
const leasesS: readonly number[] = [0, 100, longLeaseS, 300];
/** A minute of stories, or several. */
const horizonMs = [20_000, 180_000] as const;

export function makeSchedule(seed: number): Schedule {
  const random = createRandom(seed * 2 + 1);
  const hasGangs = random.chance(0.15);
  const jobs = [makeJob(random, 0, hasGangs)];
  if (!hasGangs && random.chance(0.25)) jobs.push(makeJob(random, 1, false));
  const spanMs = random.between(...horizonMs);
  const steps = Array.from({ length: random.between(1, stepsMax) }, () =>
    makeSteps(random, jobs, random.between(0, spanMs)),
  ).flat();
  return {
    seed,
    gpus: hasGangs ? gangNodes : (random.pick(nodes) ?? []),
    workers: random.between(1, 2),
    ...(random.chance(0.4) ? { historyEventsMax: random.between(60, 400) } : {}),
    jobs,
    steps: steps.toSorted((a, b) => a.atMs - b.atMs),
  };
}

function makeJob(random: Random, index: number, hasGangs: boolean): JobSpec {
  const count = (): number => (random.chance(0.6) ? 1 : random.between(1, 3));
  const numGpus = (): number => (hasGangs && random.chance(0.7) ? gangGpus : 2);
  return makeSpec({
    // One name is the beginning of the other, which must not matter.
    name: index === 0 ? "demo" : "demo-prefill-0",
    scheduler: { port: 8021 + index, membership: "builtin" },
    numGpus: 64,
    prefill: { replicas: count(), numGpus: numGpus(), ...firstKind },
    decode: { replicas: count(), numGpus: numGpus(), ...firstKind },
    leaseS: random.chance(0.5) ? longLeaseS : 0,
    restart: random.chance(0.3)
      ? { restartsMax: 3, windowS: 120 }
      : { restartsMax: 1_000, windowS: 120 },
  });
}

/** How often each kind of step is chosen, in relation to the others. */
const weights: Readonly<Record<Step["kind"], number>> = {
  scale: 8,
  restart: 3,
  apply: 1.5,
  undo: 0.5,
  lease: 0.5,
  stop: 1,
  cancel: 1,
  terminate: 0.5,
  startAgain: 1,
  requests: 8,
  boot: 3,
  engineExits: 4,
  actorDies: 2,
  engineHangs: 3,
  kvCut: 2,
  proxyExits: 2,
  proxyActorDies: 1,
  proxyHangs: 1,
  nodeDown: 2,
  nodeSilent: 2,
  rayRestarts: 1,
  rayBlocked: 3,
  temporalDown: 3,
  agentDies: 4,
  workerDies: 4,
  workerFrozen: 3,
  workerIsolated: 3,
  clockJumps: 1,
};

function pickKind(random: Random): Step["kind"] {
  const kinds = Object.entries(weights) as [Step["kind"], number][];
  let left = random.next() * kinds.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of kinds) {
    left -= weight;
    if (left < 0) return kind;
  }
  return "scale";
}

/** What ends something is more telling while something is going on. */
function makeSteps(random: Random, jobs: readonly JobSpec[], atMs: number): readonly TimedStep[] {
  const step = makeStep(random, jobs);
  if (!("job" in step) || random.chance(0.4)) return [{ atMs, step }];
  const { job } = step;
  const decodeMs = Array.from({ length: 3 }, () => random.between(2_000, 30_000));
  return [
    { atMs, step: { kind: "requests", job, decodeMs } },
    { atMs: atMs + random.between(100, 2_000), step },
  ];
}

function makeStep(random: Random, jobs: readonly JobSpec[]): Step {
  const kind = pickKind(random);
  const job = random.between(0, jobs.length - 1);
  const at = random.between(0, 11);
  const role = random.pick(roles) ?? "decode";
  const forMs = random.between(200, random.chance(0.5) ? 8_000 : 90_000);
  switch (kind) {
    case "scale":
      return { kind, job, role, replicas: random.between(1, 3) };
    case "restart":
      return { kind, job, at };
    case "apply":
      return { kind, job, changed: random.chance(0.5) ? roles : [role] };
    case "lease":
      return { kind, job, leaseS: random.pick(leasesS) ?? 0 };
    case "undo":
    case "stop":
    case "cancel":
    case "terminate":
    case "startAgain":
      return { kind, job };
    case "requests":
      return {
        kind,
        job,
        decodeMs: Array.from({ length: random.between(1, 4) }, () =>
          random.between(500, random.chance(0.3) ? 60_000 : 6_000),
        ),
      };
    case "boot":
      return { kind, job, role, takesMs: random.between(100, 30_000), fails: random.chance(0.6) };
    case "engineExits":
    case "actorDies":
    case "agentDies":
    case "workerDies":
      return { kind, at };
    case "proxyExits":
    case "proxyActorDies":
      return { kind };
    case "engineHangs":
    case "kvCut":
    case "nodeDown":
    case "nodeSilent":
    case "workerFrozen":
    case "workerIsolated":
      return { kind, at, forMs };
    case "proxyHangs":
    case "rayRestarts":
    case "rayBlocked":
    case "temporalDown":
      return { kind, forMs };
    case "clockJumps":
      return { kind, at, byMs: random.between(-3_600_000, 3_600_000) };
  }
}
