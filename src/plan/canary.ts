import { titleOf } from "../domain/canary.ts";
import type { CanaryPartner } from "../domain/canary.ts";
import { readyByMs } from "../domain/deadline.ts";
import type { Failure } from "../domain/errors.ts";
import type { Memory } from "../domain/memory.ts";
import { replicaName } from "../domain/names.ts";
import type { ObservedProxy, ObservedReplica } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { ReplicaStep } from "./replica.ts";
import { mayPair } from "../domain/revision.ts";
import { isLeaving, memberOf } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

/*
 * A replica serves once a request went through it by the real way: prefill, KV, decode. Each canary proves both of its
 * pair. When one fails, the pair does not tell which of the two is to blame, so:
 *
 *   - a proven replica is never blamed;
 *   - one that is not is condemned when it has failed with every partner that there is, or with `partnersMax` of them;
 *   - a proven partner is taken before any other, and waited for where one can become proven by somebody else's canary.
 */
const partnersMax = 2;

/** Did a request go through it, or does it serve already? What an earlier version of ours started does. */
export function isProven(
  { name, current }: ReplicaWorld,
  { proxy }: World,
  { memory, spec }: PlanInput,
): boolean {
  if (spec.canary === false || !current) return true;
  return memory.proven[name] === current.generation || isUsed(current.name, proxy, memory);
}

function isUsed(name: string, proxy: ObservedProxy | undefined, { proxyCommand }: Memory): boolean {
  const isCommand = proxyCommand !== undefined && proxyCommand.generation === proxy?.generation;
  const told = proxy?.membership?.members ?? (isCommand ? proxyCommand.command.members : []);
  return told.some((member) => member.name === name);
}

/** The next canary of a healthy replica that needs one; nothing while it has to wait for a partner. */
export function stepCanary(replica: ReplicaWorld, world: World, input: PlanInput): ReplicaStep {
  const actor = replica.current?.actor;
  if (!actor || isProven(replica, world, input)) return undefined;
  const partner = partnerOf(actor, input);
  const [own, other] = [memberOf(actor), partner && memberOf(partner)];
  if (!partner || !own || !other) return undefined;
  const { memory, nowMs, spec } = input;
  const byMs = nowMs + spec.timeoutS * 1_000;
  const engineVersion = memory.engine?.version ?? spec.engineVersion;
  const [prefill, decode] = own.role === "prefill" ? [own, other] : [other, own];
  return {
    action: {
      kind: "sendCanary",
      replica: replica.id,
      generation: actor.generation,
      partner: titledPartner(partner),
      urls: { prefill: prefill.url, decode: decode.url },
      ...(engineVersion === undefined ? {} : { engineVersion }),
      deadlineMs: memory.served ? byMs : Math.min(byMs, readyByMs(input)),
      reason: `${replica.name} is healthy: a request goes through it and ${replicaName(partner)}`,
    },
  };
}

/** Is there nobody yet by whom a healthy replica could be proven? */
export function isWithoutPartner(replica: ReplicaWorld, world: World, input: PlanInput): boolean {
  const actor = replica.current?.actor;
  const isAsked = input.inFlight.some(
    ({ kind, target }) => kind === "sendCanary" && target === replica.name,
  );
  if (actor?.state !== "healthy" || isAsked || isProven(replica, world, input)) return false;
  return partnerOf(actor, input) === undefined;
}

/** Why a healthy replica does not serve yet, for people. */
export function canaryNote({ current }: ReplicaWorld, input: PlanInput): string {
  const actor = current?.actor;
  const partner = actor && partnerOf(actor, input);
  const failed = actor ? failuresOf(actor, input.memory).at(-1) : undefined;
  const after = failed ? `, after this: ${failed.message}` : "";
  if (partner) return `canary: a request goes through it and ${replicaName(partner)}${after}`;
  const other = actor?.role === "prefill" ? "decode" : "prefill";
  return `canary: waits for a ${other} replica that can be its partner${after}`;
}

/** What a replica's failed canaries mean for it; undefined while others may be to blame. */
export function failedCanary(
  { name, current }: ReplicaWorld,
  input: PlanInput,
): Failure | undefined {
  const { canaries, proven } = input.memory;
  const actor = current?.actor;
  if (canaries.length === 0 || !actor || proven[name] === actor.generation) return undefined;
  const failures = failuresOf(actor, input.memory);
  const last = failures.at(-1);
  if (!last) return undefined;
  if (failures.length < partnersMax && untried(actor, input).length > 0) return undefined;
  return { code: "CanaryFailed", message: last.message };
}

/** Those of one role are spread over the partners, so that two pairs prove four replicas at once. */
function partnerOf(actor: ObservedReplica, input: PlanInput): ObservedReplica | undefined {
  const others = untried(actor, input);
  const proven = others.filter((one) => isKnownGood(one, input));
  if (proven.length > 0) return proven[actor.index % proven.length];
  // Of two that nobody knows, the decode replica is the one that asks; and not of one that another could judge.
  if (actor.role === "prefill") return undefined;
  const unjudged = others.filter(
    (other) => !untried(other, input).some((one) => isKnownGood(one, input)),
  );
  return unjudged[actor.index % unjudged.length];
}

function untried(actor: ObservedReplica, input: PlanInput): readonly ObservedReplica[] {
  const failed = new Set(
    failuresOf(actor, input.memory).flatMap(({ pair }) => Object.values(pair)),
  );
  return usable(input).filter(
    (one) => arePartners(actor, one, input) && !failed.has(titleOf(titledPartner(one))),
  );
}

/** Of other revisions are those whose KV does not fit. */
function arePartners(one: ObservedReplica, other: ObservedReplica, { desired }: PlanInput) {
  const [a, b] = [one, other].map((actor) => memberOf(actor, desired.pairings));
  return a !== undefined && b !== undefined && a.role !== b.role && mayPair(a, b);
}

/** Healthy, and here to stay as far as is known. */
function usable(input: PlanInput): readonly ObservedReplica[] {
  const { desired, memory, observed } = input;
  return observed.replicas.filter((one) => {
    const target = replicaName(one);
    return (
      one.state === "healthy" &&
      one.endpoint !== undefined &&
      (one.index < desired.replicas[one.role] || memory.surge?.includes(target) === true) &&
      one.generation >= (memory.generations[target] ?? 0) &&
      one.generation > (memory.failures[target]?.generation ?? 0) &&
      !isLeaving(target, one.generation, input)
    );
  });
}

/** Also what serves is remembered as proven. */
const isKnownGood = (one: ObservedReplica, { memory }: PlanInput): boolean =>
  memory.proven[replicaName(one)] === one.generation;

const failuresOf = (actor: ObservedReplica, { canaries }: Memory) => {
  const title = titleOf(titledPartner(actor));
  return canaries.filter(({ pair }) => pair[actor.role] === title);
};

const titledPartner = ({ role, index, generation }: ObservedReplica): CanaryPartner => ({
  replica: { role, index },
  generation,
});
