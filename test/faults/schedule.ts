import { createRandom } from "../simulation/random.ts";

const afterMaxMs = 4_000;

/** What may be done to a job by its users. */
const operations = ["scaleDecode", "scalePrefill", "restartReplica", "restartProxy"] as const;

/** What may befall it. `data`: the requests that are in flight there may end in an error, since what answers them is gone. */
const faults = [
  { kind: "killEngine", data: true },
  { kind: "killEngineCore", data: true },
  { kind: "hangEngine", data: true },
  { kind: "killGuard", data: true },
  { kind: "killActor", data: true },
  { kind: "killProxy", data: true },
  { kind: "killNode", data: true },
  { kind: "killAgent", data: false },
  { kind: "killWorker", data: false },
  { kind: "freezeWorker", data: false },
  { kind: "killTemporal", data: false },
  { kind: "stealGpus", data: false },
  { kind: "failNextBoot", data: false },
  { kind: "slowNextBoot", data: false },
] as const;

export type FaultKind = (typeof faults)[number]["kind"];
export type OperationKind = (typeof operations)[number];

export interface Step {
  readonly kind: FaultKind | OperationKind;
  /** Chooses among what exists when the step comes. */
  readonly pick: number;
  /** Wait before it. Short waits hit the job in the middle of the step before. */
  readonly afterMs: number;
}

const isData = new Map<string, boolean>(faults.map(({ kind, data }) => [kind, data]));

/** May requests end in an explicit error because of this step? None may ever be cut short in silence. */
export const harmsRequests = ({ kind }: Step): boolean => isData.get(kind) ?? false;

/** The same steps for the same seed, on every machine. */
export function scheduleOf(seed: number, length: number): readonly Step[] {
  const random = createRandom(seed);
  const kinds = [...operations, ...operations, ...faults.map(({ kind }) => kind)];
  return Array.from({ length }, () => ({
    kind: random.pick(kinds) ?? "killEngine",
    pick: random.between(0, 999),
    afterMs: Math.floor(random.next() ** 2 * afterMaxMs),
  }));
}
