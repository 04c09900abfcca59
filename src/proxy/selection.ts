import type { Role } from "../domain/role.ts";

/**
 * least-loaded: of all members the one with the fewest tokens in flight ·
 * power-of-two: the less loaded of two that are drawn by chance ·
 * prefix-affinity: the member that had the prompt's beginning before, unless it is much more loaded than the others.
 */
export type Policy = "least-loaded" | "power-of-two" | "prefix-affinity";

export interface Selection {
  readonly policy: Readonly<Record<Role, Policy>>;
  /** Bytes of a prompt's beginning that prefix-affinity goes by: prompts that share them go together. */
  readonly prefixBytes: number;
  /** Within which a member that joined gets its full share of the load. */
  readonly rampMs: number;
  /** A member that was asked and sent no byte for so long, on none of its legs, is passed over. */
  readonly silenceMs: number;
  /** For so long at first; twice as long each time that it stays silent afterwards. */
  readonly ejectionMs: number;
}

export const defaultSelection: Selection = {
  policy: { prefill: "least-loaded", decode: "least-loaded" },
  prefixBytes: 1_024,
  rampMs: 10_000,
  silenceMs: 20_000,
  ejectionMs: 10_000,
};
