import type { Desired, Memory } from "./memory.ts";
import { replicaName } from "./names.ts";
import { roles } from "./role.ts";

/** Why a restart cannot be granted, or undefined when it can. Takes anything: updates come from scripts. */
export function restartProblem(
  payload: unknown,
  job: string,
  { replicas, stop }: Desired,
): string | undefined {
  if (stop) return `Job ${job} is stopping.`;
  const known = [...roles.flatMap((role) => namesOf(role, replicas[role])), "proxy"];
  const wanted =
    typeof payload === "object" && payload !== null && "replica" in payload
      ? payload.replica
      : undefined;
  if (typeof wanted === "string" && known.includes(wanted)) return undefined;
  const names = known.join(", ");
  return typeof wanted === "string"
    ? `Job ${job} has no ${wanted}. It has ${names}.`
    : `A restart request is {"replica":"NAME"}, with one of ${names}.`;
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
