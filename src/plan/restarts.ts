import type { Memory } from "../domain/memory.ts";
import type { RestartBudget } from "../domain/spec.ts";

const backoffFirstMs = 1_000;
/** Past this, waiting longer between replacements helps nobody. */
const backoffMaxMs = 60_000;

export type RestartVerdict =
  | { readonly kind: "now" }
  | { readonly kind: "later"; readonly atMs: number }
  | { readonly kind: "exhausted"; readonly count: number; readonly atMs: number };

/**
 * May a failed target be replaced? The n-th replacement within the window waits 1 s × 2^(n-1), at most a minute;
 * past `restartsMax` replacements the answer stays no until the oldest leaves the window.
 */
export function mayRestart(
  target: string,
  { restarts, failures }: Memory,
  budget: RestartBudget,
  nowMs: number,
): RestartVerdict {
  const recent = (restarts[target] ?? []).filter((atMs) => atMs > nowMs - budget.windowS * 1_000);
  if (recent.length >= budget.restartsMax) {
    const oldest = recent.at(-budget.restartsMax) ?? nowMs;
    return { kind: "exhausted", count: recent.length, atMs: oldest + budget.windowS * 1_000 };
  }
  const last = recent.at(-1);
  if (last === undefined) return { kind: "now" };
  const wait = Math.min(backoffFirstMs * 2 ** (recent.length - 1), backoffMaxMs);
  const from = Math.max(last, failures[target]?.atMs ?? 0);
  return from + wait <= nowMs ? { kind: "now" } : { kind: "later", atMs: from + wait };
}
