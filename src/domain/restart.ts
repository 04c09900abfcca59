import { isOutage, whyNoRoom } from "./apply.ts";
import type { Changing } from "./apply.ts";
import type { Memory } from "./memory.ts";
import { replicaName } from "./names.ts";
import type { JobView } from "./plan.ts";
import { roles } from "./role.ts";
import { isObject } from "./spec-shape.ts";

/** The job as a restart finds it. */
interface Standing extends Changing {
  readonly view: Pick<JobView, "replicas">;
}

/** Why a restart cannot be granted, or undefined when it can. Takes anything: updates come from scripts. */
export function restartProblem(payload: unknown, standing: Standing): string | undefined {
  const { spec, desired } = standing;
  const { name: job } = spec;
  const { replicas, stop } = desired;
  if (stop) return `Job ${job} is stopping.`;
  const known = [...roles.flatMap((role) => namesOf(role, replicas[role])), "proxy"];
  const wanted = isObject(payload) ? payload["replica"] : undefined;
  const outage = isObject(payload) ? payload["outage"] : undefined;
  const names = known.join(", ");
  if (typeof wanted !== "string" || !isOutage(outage))
    return `A restart request is {"replica":"NAME","outage"?:true}, with one of ${names}.`;
  if (!known.includes(wanted)) return `Job ${job} has no ${wanted}. It has ${names}.`;
  return outage ? undefined : standstill(wanted, standing);
}

/** Would nobody of its role serve meanwhile? Says so, with the numbers. */
function standstill(name: string, { spec, desired, view }: Standing): string | undefined {
  const role = roles.find((one) => desired.replicas[one] === 1 && name === `${one}-0`);
  // What does not serve costs nobody anything.
  const isServing = view.replicas.some((one) => one.name === name && one.phase === "READY");
  if (!role || !isServing) return undefined;
  const wanted = roles.reduce(
    (sum, one) => sum + desired.replicas[one] * spec.roles[one].numGpus,
    spec.roles[role].numGpus,
  );
  const full = whyNoRoom(spec, wanted);
  const servesAlone = role === "prefill" && spec.scheduler.degraded?.prefill === "decode-local";
  const cost = servesAlone ? "decode replicas compute every prompt" : "no request is served";
  return (
    full &&
    `${name} is the only ${role} replica, and ${full.why}: while it is replaced ${cost}, from its drain of at most ${spec.drainS[role]} s until its successor has booted (timeout ${spec.timeoutS} s). Allow that (--allow-outage), or raise ${full.raise}.`
  );
}

const namesOf = (role: (typeof roles)[number], count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => replicaName({ role, index }));

/** Forgets the failures of a target: it has its whole restart budget again. */
export const forgive = (memory: Memory, target: string): Memory => ({
  ...memory,
  failures: without(memory.failures, target),
  restarts: without(memory.restarts, target),
});

export const without = <V>(
  record: Readonly<Record<string, V>>,
  key: string,
): Readonly<Record<string, V>> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));
