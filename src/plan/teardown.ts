import { replacedProxy } from "../domain/action.ts";
import type { Action } from "../domain/action.ts";
import type { ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import { stepUnwanted } from "./replica.ts";
import { allProxies } from "./world.ts";
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
  const { replicas, busy } = world;
  const proxies = allProxies(world);
  if (proxies.length > 0) return busy.has("proxy") ? [] : endProxies(proxies, busy, input);
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
function endProxies(
  proxies: readonly ObservedProxy[],
  busy: World["busy"],
  input: PlanInput,
): readonly Action[] {
  const drain = drainProxies(proxies, input);
  if (drain) return [drain];
  const { spec } = input;
  return proxies.flatMap(({ generation }, age): readonly Action[] => {
    const isReplaced = age > 0;
    if (isReplaced && busy.has(replacedProxy(generation))) return [];
    return [
      {
        kind: "stopProxy",
        generation,
        ...(isReplaced ? ({ isReplaced: true } as const) : {}),
        graceS: spec.stopGraceS,
        reason: "the job stops",
      },
    ];
  });
}

function drainProxies(
  proxies: readonly ObservedProxy[],
  { desired, memory, spec, nowMs }: PlanInput,
): Action | undefined {
  const isDrained = !desired.stop?.drain || memory.drained.includes("proxy");
  if (spec.scheduler.membership !== "builtin" || isDrained) return undefined;
  const serving = proxies.filter(({ state, membership }) => state === "healthy" && membership);
  for (const { generation, membership } of serving) {
    if (!membership || membership.members.length === 0) continue;
    return {
      kind: "setMembership",
      proxyGeneration: generation,
      generation: Math.max(membership.generation, memory.membershipGeneration) + 1,
      members: [],
      closing: true,
      reason: "the job stops: no new requests",
    };
  }
  const counts = serving.flatMap(({ inFlight = {} }) => Object.values(inFlight));
  const inFlight = counts.reduce((sum, count) => sum + count, 0);
  if (inFlight === 0) return undefined;
  const drainS = Math.max(...roles.map((role) => spec.drainS[role]));
  return {
    kind: "drainProxy",
    deadlineMs: nowMs + drainS * 1_000,
    reason: `${inFlight} requests in flight end first`,
  };
}
