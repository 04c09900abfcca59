import { createRandom } from "../simulation/random.ts";

const afterMaxMs = 4_000;

/** What may be done to a job by its users. */
const operations = ["scaleDecode", "scalePrefill", "restartReplica", "restartProxy"] as const;

/**
 * What may befall it. Requests may end in an explicit error because of it: `never`; `while` it lasts and a little longer,
 * since what answered them is gone; `until` the job is whole again, since nothing may be left that answers.
 */
const faults = [
  { kind: "killEngine", errors: "while" },
  { kind: "killEngineCore", errors: "while" },
  { kind: "hangEngine", errors: "while" },
  { kind: "killGuard", errors: "while" },
  { kind: "freezeGuard", errors: "never" },
  { kind: "killActor", errors: "while" },
  { kind: "freezeActor", errors: "while" },
  { kind: "killProxy", errors: "while" },
  { kind: "freezeProxy", errors: "while" },
  { kind: "stealProxyPort", errors: "while" },
  { kind: "killNode", errors: "while" },
  { kind: "freezeRaylet", errors: "never" },
  { kind: "freezeGcs", errors: "never" },
  { kind: "loseRay", errors: "until" },
  { kind: "killAgent", errors: "never" },
  { kind: "freezeAgent", errors: "never" },
  { kind: "killWorker", errors: "never" },
  { kind: "freezeWorker", errors: "never" },
  { kind: "killTemporal", errors: "never" },
  { kind: "freezeTemporal", errors: "never" },
  { kind: "raceForGpus", errors: "never" },
  { kind: "failNextBoot", errors: "never" },
  { kind: "slowNextBoot", errors: "never" },
  { kind: "stealNextPort", errors: "never" },
  { kind: "fullDiskForNextLog", errors: "never" },
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

const errorsOf = new Map<string, (typeof faults)[number]["errors"]>(
  faults.map(({ kind, errors }) => [kind, errors] as const),
);

/** May requests end in an explicit error because of this step? None may ever be cut short in silence. */
export const mayCostRequests = ({ kind }: Step): "never" | "while" | "until" =>
  errorsOf.get(kind) ?? "never";

/** The same steps for the same seed, on every machine. No fault comes twice before all of them came. */
export function scheduleOf(seed: number, length: number): readonly Step[] {
  const random = createRandom(seed);
  const deck: Step["kind"][] = [];
  return Array.from({ length }, () => {
    if (deck.length === 0)
      deck.push(...operations, ...operations, ...faults.map(({ kind }) => kind));
    const [kind = "killEngine"] = deck.splice(random.between(0, deck.length - 1), 1);
    return {
      kind,
      pick: random.between(0, 999),
      afterMs: Math.floor(random.next() ** 2 * afterMaxMs),
    };
  });
}
