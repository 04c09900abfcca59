import type { Role } from "../../domain/role.ts";

/*
 * When a request that failed before its first byte is tried again. Trying again hides a dead engine from the client; but
 * a request can be what killed the engine, and would then kill one after the other. So the same body ends at most
 * `enginesLostMax` engines, and a decode engine that answered 500 and died with it is the only one: stale or foreign KV
 * parameters, for one, do that to vLLM. Who refuses the connection costs the request nothing but time: that is no attempt.
 */
export type FailedLeg =
  /** The request never arrived, or the engine declined it: it is as good as new. */
  | { readonly how: "refused" | "unavailable" | "aborted" }
  /** It had the request when it failed. `alive` = it answered /health afterwards. */
  | { readonly how: "dropped" | "failed"; readonly alive: boolean }
  /** It was given all its time. Another one would hardly need less, and the first may still be at it. */
  | { readonly how: "late" };

export interface Attempts {
  /** Pairs that took the request so far, this one included. */
  readonly count: number;
  /** Engines that were gone after they had been given the request. */
  readonly enginesLost: number;
}

export type Verdict =
  | { readonly kind: "again"; readonly enginesLost: number; readonly sameDecode: boolean }
  | { readonly kind: "exhausted" }
  | { readonly kind: "late" }
  /** It may have ended an engine. */
  | { readonly kind: "withheld" };

/** Each is a fresh prefill: KV parameters are used once. */
export const attemptsMax = 3;
const enginesLostMax = 2;

export function judge(role: Role, leg: FailedLeg, { count, enginesLost }: Attempts): Verdict {
  if (leg.how === "refused") return { kind: "again", enginesLost, sameDecode: false };
  if (leg.how === "late") return { kind: "late" };
  const isLost = "alive" in leg && !leg.alive;
  const lost = enginesLost + (isLost ? 1 : 0);
  if (isLost && role === "decode" && leg.how === "failed") return { kind: "withheld" };
  if (lost >= enginesLostMax) return { kind: "withheld" };
  if (count >= attemptsMax) return { kind: "exhausted" };
  // Alive: its KV could not be loaded, say. Should it have been the request after all, it harms no second engine.
  return {
    kind: "again",
    enginesLost: lost,
    sameDecode: role === "decode" && leg.how === "failed",
  };
}
