import type { Role } from "./role.ts";

/*
 * Of which member the built-in proxy asks a request, and what it does without members of a role. The proxy's program may
 * import types alone from here, so its own defaults are in `src/proxy/selection/selection.ts`: a test holds both to the same values.
 */

/**
 * least-loaded: of all members the one with the fewest tokens in flight ·
 * power-of-two: the less loaded of two that are drawn by chance ·
 * prefix-affinity: the member that had the prompt's beginning before, unless it is much more loaded than the others.
 */
export const policies = {
  prefill: ["least-loaded", "power-of-two", "prefix-affinity"],
  /** The beginning of a prompt says nothing to a decode engine: its KV comes from prefill. */
  decode: ["least-loaded", "power-of-two"],
} as const satisfies Readonly<Record<Role, readonly string[]>>;

export type Policy = (typeof policies)["prefill"][number];

export interface SelectionSpec {
  readonly prefill: Policy;
  readonly decode: (typeof policies)["decode"][number];
  /** Bytes of a prompt's beginning that prefix-affinity goes by: prompts that share them go together. */
  readonly prefixBytes: number;
  /** Seconds within which a member that joined gets its full share of the load. */
  readonly rampS: number;
  /** Seconds without a byte after which a member that was asked is passed over; 0 = never. */
  readonly silenceS: number;
  /** Seconds for which it is, at first; twice as many each time that it stays silent. */
  readonly ejectionS: number;
}

export const defaultSelection: SelectionSpec = {
  prefill: "least-loaded",
  decode: "least-loaded",
  prefixBytes: 1_024,
  rampS: 10,
  silenceS: 20,
  ejectionS: 10,
};

/** Without a prefill member: fail, or let the decode engine compute the prompt itself. */
export const withoutPrefill = ["fail", "decode-local"] as const;
export type WithoutPrefill = (typeof withoutPrefill)[number];

/** What the proxy does when no member of a role is left. */
export interface DegradedSpec {
  readonly prefill: WithoutPrefill;
  /** A prefill engine generates no answer, and nobody else could. */
  readonly decode: "fail";
}

export const defaultDegraded: DegradedSpec = { prefill: "fail", decode: "fail" };
