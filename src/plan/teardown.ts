import type { Action } from "../domain/action.ts";
import type { ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import { stepUnwanted } from "./replica.ts";
import type { World } from "./world.ts";

/** Kinds that may go on while the job is torn down; everything else in flight is cancelled. */
export const teardownKinds: ReadonlySet<string> = new Set([
  "setMembership",
  "drainReplica",
  "drainProxy",
  "stopProxy",
  "stopReplica",
  "removePlacementGroup",
  "sweep",
]);

/** Order of a teardown: no new requests, requests in flight end, proxy, engines, placement groups, sweep. */
export function stepTeardown(world: World, input: PlanInput): readonly Action[] {
  const { proxy, staleProxies, replicas, busy } = world;
  const proxies = [...(proxy ? [proxy] : []), ...staleProxies];
  if (proxies.length > 0) {
    return busy.has("proxy") ? [] : proxies.slice(0, 1).map((one) => retireProxy(one, input));
  }
  if (replicas.length > 0) {
    return replicas
      .filter((replica) => !busy.has(replica.name))
      .flatMap((replica) => {
        const step = stepUnwanted(replica, world, input);
        return step && "action" in step ? [step.action] : [];
      });
  }
  if (input.memory.swept || input.inFlight.length > 0) return [];
  return [{ kind: "sweep", reason: "whatever a crash may have left behind" }];
}

/** Only the built-in proxy goes on without members; another one ends its requests after SIGTERM, or not. */
function retireProxy(proxy: ObservedProxy, { desired, memory, spec, nowMs }: PlanInput): Action {
  const { generation, membership } = proxy;
  const stop: Action = {
    kind: "stopProxy",
    generation,
    graceS: spec.stopGraceS,
    reason: "the job stops",
  };
  if (
    proxy.state !== "healthy" ||
    spec.scheduler.membership !== "builtin" ||
    !membership ||
    !desired.stop?.drain ||
    memory.drained.includes("proxy")
  )
    return stop;
  if (membership.members.length > 0) {
    const next = Math.max(membership.generation, memory.membershipGeneration) + 1;
    return {
      kind: "setMembership",
      proxyGeneration: generation,
      generation: next,
      members: [],
      reason: "the job stops: no new requests",
    };
  }
  const inFlight = Object.values(proxy.inFlight ?? {}).reduce((sum, count) => sum + count, 0);
  if (inFlight === 0) return stop;
  const drainS = Math.max(...roles.map((role) => spec.drainS[role]));
  return {
    kind: "drainProxy",
    deadlineMs: nowMs + drainS * 1_000,
    reason: `${inFlight} requests in flight end first`,
  };
}
