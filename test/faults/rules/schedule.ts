import { createRandom } from "../../simulation/random.ts";

const afterMaxMs = 4_000;
/** Makes another sequence of the same seed. */
const firstDeploymentSalt = 0x5eed;

/**
 * What requests may lose by a step, when it struck (`amnesty.ts` judges each request by it): `nothing`; what was on the
 * `engine`s that it struck; what was in flight in the `proxy`'s process; everything in the proxy while it is `stall`ed;
 * whoever comes while nobody has the proxy's `socket`; `everything` until the job serves again.
 */
export type Cost = "nothing" | "engine" | "proxy" | "stall" | "socket" | "everything";

/** What may be done to a job by its users. */
const operations = {
  scaleDecode: "nothing",
  scalePrefill: "nothing",
  restartReplica: "nothing",
  restartProxy: "nothing",
  apply: "nothing",
  undo: "nothing",
  stopAndStart: "everything",
} as const satisfies Readonly<Record<string, Cost>>;

/** What may befall it. */
const faults = {
  killEngine: "engine",
  killEngineCore: "engine",
  hangEngine: "engine",
  freezeCore: "engine",
  killGuard: "engine",
  freezeGuard: "nothing",
  killActor: "engine",
  freezeActor: "engine",
  killProxy: "proxy",
  freezeProxy: "stall",
  stealProxyPort: "socket",
  killNode: "engine",
  killRaylet: "engine",
  killHead: "socket",
  freezeRaylet: "nothing",
  freezeGcs: "nothing",
  loseRay: "everything",
  killAgent: "nothing",
  freezeAgent: "nothing",
  killWorker: "nothing",
  freezeWorker: "nothing",
  killTemporal: "nothing",
  freezeTemporal: "nothing",
  raceForGpus: "nothing",
  failNextBoot: "nothing",
  slowNextBoot: "nothing",
  stealNextPort: "nothing",
  fullDiskForNextLog: "nothing",
  fullDiskForProxyLog: "proxy",
} as const satisfies Readonly<Record<string, Cost>>;

export type FaultKind = keyof typeof faults;
export type StepKind = FaultKind | keyof typeof operations;

const costs: Readonly<Record<StepKind, Cost>> = { ...operations, ...faults };
export const costOf = (kind: StepKind): Cost => costs[kind];

const faultKinds = Object.keys(faults) as FaultKind[];
const operationKinds = Object.keys(operations) as (keyof typeof operations)[];

export interface Step {
  readonly kind: StepKind;
  /** Chooses among what exists when the step comes. */
  readonly pick: number;
  /** Wait before it. Short waits hit the job in the middle of the step before. */
  readonly afterMs: number;
}

/** The same steps for the same seed, on every machine. No fault comes twice before all of them came. */
export function scheduleOf(seed: number, length: number): readonly Step[] {
  const random = createRandom(seed);
  const deck: StepKind[] = [];
  return Array.from({ length }, () => {
    if (deck.length === 0) deck.push(...operationKinds, ...operationKinds, ...faultKinds);
    const [kind = "killEngine"] = deck.splice(random.between(0, deck.length - 1), 1);
    return {
      kind,
      pick: random.between(0, 999),
      afterMs: Math.floor(random.next() ** 2 * afterMaxMs),
    };
  });
}

/** What befalls the job of this seed before it was READY for the first time. */
export function firstFaultOf(seed: number): Step {
  const random = createRandom(seed ^ firstDeploymentSalt);
  return {
    kind: random.pick(faultKinds) ?? "killEngine",
    pick: random.between(0, 999),
    afterMs: Math.floor(random.next() * afterMaxMs),
  };
}
