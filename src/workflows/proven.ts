import type { ActionOf } from "../domain/action.ts";
import { failedCanariesMax, pairOf } from "../domain/canary.ts";
import type { Memory } from "../domain/memory.ts";
import { replicaName } from "../domain/names.ts";
import type { JobView } from "../domain/plan.ts";

/** A canary went through both of its pair. */
export function withProven(memory: Memory, action: ActionOf<"sendCanary">): Memory {
  const both = [action, action.partner].map(({ replica, generation }) => ({
    name: replicaName(replica),
    generation,
  }));
  return { ...memory, proven: proving(memory, both) };
}

/** What serves is proven by that, even if the proxy that used it goes. */
export function withServing(memory: Memory, { replicas }: JobView): Memory {
  const serving = replicas.filter(
    ({ name, phase, generation }) => phase === "READY" && memory.proven[name] !== generation,
  );
  return serving.length > 0 ? { ...memory, proven: proving(memory, serving) } : memory;
}

/** Which of the two is to blame, the planner judges. */
export function withFailedCanary(
  memory: Memory,
  action: ActionOf<"sendCanary">,
  message: string,
  atMs: number,
): Memory {
  const failed = { pair: pairOf(action, action.partner), message, atMs };
  return { ...memory, canaries: [...memory.canaries, failed].slice(-failedCanariesMax) };
}

/** It is gone, and what is known of its pairs with it. */
export const withoutCanaries = (memory: Memory, title: string): Memory => ({
  ...memory,
  canaries: memory.canaries.filter(({ pair }) => !Object.values(pair).includes(title)),
});

const proving = (
  { proven }: Memory,
  replicas: readonly { readonly name: string; readonly generation: number }[],
): Memory["proven"] =>
  replicas.reduce(
    (known, { name, generation }) => ({ ...known, [name]: Math.max(known[name] ?? 0, generation) }),
    proven,
  );
