import { replicaName } from "./names.ts";
import type { ReplicaId, Role } from "./role.ts";

/** Where a canary came to, in order: both engines are reached, both list the model, then a request goes its way. */
export const canaryStages = ["reach", "model", "prefill", "decode", "kv"] as const;
export type CanaryStage = (typeof canaryStages)[number];

/**
 * How far engines are asked. params: prefill must answer with parameters, and decode's KV must come by them · store: both
 * get the same prompt · any: parameters are handed on if there are some · none: each engine is asked by itself · models:
 * for the model's name alone, since a request that their own proxy did not write may end these engines.
 */
export type CanaryHandOver = "params" | "store" | "any" | "none" | "models";

/** One generation of a replica, as far as a canary has to know it. */
export interface CanaryPartner {
  readonly replica: ReplicaId;
  readonly generation: number;
}

/** Two replicas through which a request did not come. Members are told by `titleOf`. */
export interface FailedCanary {
  readonly pair: Readonly<Record<Role, string>>;
  readonly message: string;
  readonly atMs: number;
}

/** The newest that are remembered: each is about replicas that are there now. */
export const failedCanariesMax = 64;

/** `prefill-0 g1`. */
export const titleOf = ({ replica, generation }: CanaryPartner): string =>
  `${replicaName(replica)} g${generation}`;

export const pairOf = (one: CanaryPartner, other: CanaryPartner): Readonly<Record<Role, string>> =>
  one.replica.role === "prefill"
    ? { prefill: titleOf(one), decode: titleOf(other) }
    : { prefill: titleOf(other), decode: titleOf(one) };
