import { parseIncarnation } from "../domain/names.ts";
import type { Observed } from "../domain/observed.ts";

/** So many holders are named; the rest is summed up. */
const namedMax = 5;

/**
 * `0 of 16 GPUs are free; this job holds 8, job other 6, others 2`: for a replica that waits for GPUs. Undefined when the
 * agent did not say. What no named placement group accounts for is held by groups without a name, actors and tasks.
 */
export function whoHoldsGpus({
  nodes,
  groupsOfOthers,
  placementGroups,
}: Observed): string | undefined {
  if (!nodes || !groupsOfOthers) return undefined;
  const alive = nodes.filter((node) => node.alive);
  const total = sumOf(alive.map((node) => node.total.GPU));
  const free = sumOf(alive.map((node) => node.available.GPU));
  const own = placementGroups.flatMap(({ state, bundles = [] }) =>
    state === "CREATED" ? bundles.map(({ GPU = 0 }) => GPU) : [],
  );
  const held = new Map([["this job", sumOf(own)]]);
  for (const { name, GPU } of groupsOfOthers)
    held.set(holderOf(name), (held.get(holderOf(name)) ?? 0) + GPU);
  const named = [...held]
    .filter(([, gpus]) => gpus > 0)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, namedMax);
  const rest = total - free - sumOf(named.map(([, gpus]) => gpus));
  const holders = [...named, ...(rest > 0 ? [["others", rest] as const] : [])];
  const list = holders.map(([who, gpus], index) => `${who}${index === 0 ? " holds" : ""} ${gpus}`);
  return [`${free} of ${total} GPUs are free`, list.join(", ")].filter(Boolean).join("; ");
}

function holderOf(group: string): string {
  const incarnation = parseIncarnation(group);
  return incarnation ? `job ${incarnation.job}` : `placement group ${group}`;
}

const sumOf = (amounts: readonly number[]): number => amounts.reduce((sum, one) => sum + one, 0);
