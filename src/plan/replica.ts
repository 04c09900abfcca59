import type { Failure } from "../domain/errors.ts";
import type { Action } from "../domain/action.ts";
import { drainQuietS, forgetsLive } from "../domain/membership.ts";
import type { Memory } from "../domain/memory.ts";
import type { ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { JobSpec } from "../domain/spec.ts";
import { stepCanary } from "./canary.ts";
import { condemned, firstLine } from "./condemn.ts";
import { readyByMs } from "../domain/deadline.ts";
import { lacksFiles, uploaded } from "./files.ts";
import { isMislaid, layoutOf, layoutOfGroup } from "./placement.ts";
import { isPausing } from "./reservation.ts";
import { mayRestart } from "./restarts.ts";
import { isCommandUnasked } from "./outdated.ts";
import { allProxies, gangBundles } from "./world.ts";
import type { Incarnation, ReplicaWorld, World } from "./world.ts";

/** What to do for one replica next: an action, or a time to look again, or nothing. */
export type ReplicaStep = { readonly action: Action } | { readonly wakeAtMs: number } | undefined;

/** Brings a wanted replica one step nearer to serving: clear what is dead, reserve, start, wait, prove. */
export function stepWanted(replica: ReplicaWorld, world: World, input: PlanInput): ReplicaStep {
  const { current, stale } = replica;
  const old = stale[0];
  if (old) return { action: remove(replica, old, input, "an older generation is left over") };
  const verdict = condemned(replica, input);
  if (verdict && current)
    return { action: remove(replica, current, input, firstLine(verdict), verdict) };
  if (isPausing(input.memory)) return giveBack(replica, input);
  if (current?.group && isMislaid(current.group, input.spec, replica.id.role, input.observed.nodes))
    return { action: remove(replica, current, input, "the nodes can hold it cut in another way") };
  if (current?.group?.state !== "CREATED") return reserve(replica, input);
  if (!current.actor || current.actor.state === "idle")
    return world.short ? undefined : start(replica, current, world, input);
  if (current.actor.state === "starting") {
    const bootByMs = bootedByMs(replica.name, current, input);
    return {
      action: {
        kind: "waitHealthy",
        replica: replica.id,
        generation: current.generation,
        deadlineMs: input.memory.served ? bootByMs : Math.min(bootByMs, readyByMs(input)),
        ...ofGang(current),
        reason: `${replica.name} is booting`,
      },
    };
  }
  return current.actor.state === "healthy" ? stepCanary(replica, world, input) : undefined;
}

/** Another job may be short of just that, as this one is of what that job holds. */
function giveBack(replica: ReplicaWorld, input: PlanInput): ReplicaStep {
  const { againAtMs = 0 } = input.memory.reserving ?? {};
  const why = "there are not enough GPUs or CPUs for the whole job; others may need what it has";
  if (replica.current) return { action: remove(replica, replica.current, input, why) };
  // Past that time it only waits until the last of it is given back.
  return againAtMs > input.nowMs ? { wakeAtMs: againAtMs } : undefined;
}

/** What an action must know of a gang; nothing for a replica on one node. */
function ofGang(incarnation: Incarnation) {
  const bundles = gangBundles(incarnation);
  return bundles ? { bundles } : {};
}

/** Counted from when its start was done on the job's own clock: a node's clock may be another. */
function bootedByMs(
  name: string,
  { generation }: Incarnation,
  { memory, spec, nowMs }: PlanInput,
): number {
  const isOurs = memory.started[name] === generation;
  const sinceMs = isOurs ? (memory.startedAtMs[name] ?? nowMs) : nowMs;
  return sinceMs + spec.timeoutS * 1_000;
}

/** Takes an unwanted replica away: out of the proxy, drained, stopped, its GPUs released. */
export function stepUnwanted(replica: ReplicaWorld, world: World, input: PlanInput): ReplicaStep {
  const incarnation = replica.stale[0] ?? replica.current;
  if (!incarnation) return undefined;
  const proxies = allProxies(world);
  if (proxies.some((proxy) => isRouted(replica, incarnation.name, proxy, input))) return undefined;
  // A membership on its way may bring it new requests yet, whatever the proxy said a moment ago.
  if (input.inFlight.some(({ kind }) => bringsMembers(kind, input))) return undefined;
  // A proxy that does not answer may still have streams there: it answers again, or is replaced, first.
  if (!input.desired.stop && proxies.some(isSilent)) return undefined;
  const drain = drainOf(incarnation, world, input);
  if (drain && !input.memory.drained.includes(incarnation.name)) {
    return {
      action: {
        kind: "drainReplica",
        replica: replica.id,
        generation: incarnation.generation,
        deadlineMs: input.nowMs + input.spec.drainS[replica.id.role] * 1_000,
        reason: `${replica.name} is no longer wanted; its requests in flight end first`,
        ...drain,
      },
    };
  }
  return { action: remove(replica, incarnation, input, `${replica.name} is no longer wanted`) };
}

/** How the requests in flight are waited for; undefined when there is nothing to wait for. */
function drainOf(
  { name, actor }: Incarnation,
  world: World,
  { desired, spec }: PlanInput,
): { readonly quietS?: number } | undefined {
  if (inFlightOf(name, world) > 0) return {};
  const { proxy } = world;
  if (proxy?.state !== "healthy" || proxy.inFlight) return undefined;
  const { membership } = spec.scheduler;
  // A restart has cut off what was in flight; and a job that stops has stopped its proxy before.
  if (membership === "builtin" || membership === "restart" || desired.stop) return undefined;
  return actor?.state === "healthy" ? { quietS: spec.drainQuietS ?? drainQuietS } : undefined;
}

/** Does the running proxy still send new requests there? Then its membership changes first. */
function isRouted(
  { retired, wanted }: ReplicaWorld,
  name: string,
  proxy: ObservedProxy,
  { memory, spec }: PlanInput,
): boolean {
  const command = memory.proxyCommand;
  const wasRendered = (): boolean =>
    command?.generation !== proxy.generation ||
    command.command.members.some((member) => member.name === name);
  // It takes the members that it was planned with before anybody else can tell it.
  if (proxy.state === "starting" && spec.scheduler.membership === "builtin") return wasRendered();
  if (proxy.state !== "healthy") return false;
  // A proxy that forgets a replica only by a restart is restarted once the successor is there, which comes after this.
  if (wanted && retired && !forgetsLive(spec.scheduler)) return false;
  if (proxy.membership) return proxy.membership.members.some((member) => member.name === name);
  // A newer command was rendered, or we do not know which one runs: the proxy is about to be restarted.
  return spec.scheduler.membership === "restart" && wasRendered();
}

/** The built-in proxy starts with the members that it was planned with. */
const bringsMembers = (kind: Action["kind"], { spec }: PlanInput): boolean =>
  kind === "setMembership" || (kind === "runProxy" && spec.scheduler.membership === "builtin");

const isSilent = ({ state }: ObservedProxy): boolean => state === "lost" || state === "unhealthy";

/** Through all proxies of the job: one that was replaced ends its streams first. */
export const inFlightOf = (name: string, world: World): number =>
  allProxies(world)
    .filter(({ state }) => state === "healthy")
    .reduce((sum, { inFlight }) => sum + (inFlight?.[name] ?? 0), 0);

/** The verdict travels with the action, so that the failure is remembered once nothing is left to observe. */
function remove(
  { id, wanted, retired }: ReplicaWorld,
  { actor, followers, generation }: Incarnation,
  { spec }: PlanInput,
  reason: string,
  verdict?: Failure,
): Action {
  const failure = verdict ? { failure: { code: verdict.code, message: verdict.message } } : {};
  const stays = wanted && !retired && !verdict ? ({ isWanted: true } as const) : {};
  return actor || followers.length > 0
    ? { kind: "stopReplica", replica: id, generation, graceS: spec.stopGraceS, reason, ...failure }
    : { kind: "removePlacementGroup", replica: id, generation, reason, ...failure, ...stays };
}

function reserve({ id, name, current, surge }: ReplicaWorld, input: PlanInput): ReplicaStep {
  if (lacksFiles(input)) return undefined;
  const { spec, memory, nowMs } = input;
  const again = !current && isSpent(name, memory);
  if (again) {
    const verdict = mayRestart(name, memory, spec.restart, nowMs);
    if (verdict.kind !== "now") return { wakeAtMs: verdict.atMs };
  }
  const generation = current?.generation ?? (memory.generations[name] ?? 0) + 1;
  const { nodes } = input.observed;
  const cut = current?.group?.bundles;
  const { bundles, strategy } = cut ? layoutOfGroup(cut, nodes) : layoutOf(spec, id.role, nodes);
  return {
    action: {
      kind: "reservePlacementGroup",
      replica: id,
      generation,
      bundles,
      ...(bundles.length > 1 ? { strategy } : {}),
      replaces: again,
      ...(surge ? { surge } : {}),
      reason: again
        ? `${name} is replaced`
        : `${name} is ${wantedFor(surge)} and has no placement group`,
      // Once the job serves, a replica may wait for GPUs as long as it must: what runs is not disturbed.
      ...(memory.served ? {} : { deadlineMs: readyByMs(input) }),
    },
  };
}

const wantedFor = (surge: true | undefined): string =>
  surge ? "wanted while another is replaced" : "wanted";

/**
 * Did the newest generation that was asked for run, or fail? If not, whatever it was to replace is still being replaced:
 * a reservation that was called off and comes again is no second replacement.
 */
function isSpent(name: string, { generations, started, failures }: Memory): boolean {
  const spent = Math.max(started[name] ?? 0, failures[name]?.generation ?? 0);
  return spent > 0 && (generations[name] ?? 0) <= spent;
}

/** Every replica but prefill 0 starts once prefill 0's address is known: its commands may hold {KV_IP}. */
function start(
  { id, name }: ReplicaWorld,
  current: Incarnation,
  world: World,
  input: PlanInput,
): ReplicaStep {
  if (lacksFiles(input) || isCommandUnasked(input)) return undefined;
  const { memory, spec } = input;
  const isFirst = id.role === "prefill" && id.index === 0;
  if (!isFirst && !isKvIpKnown(world, memory, spec)) return undefined;
  const engineVersion = memory.engine?.version ?? spec.engineVersion;
  const rest = {
    replica: id,
    generation: current.generation,
    ...ofGang(current),
    reason: `${name} has its placement group and no engine`,
    ...(memory.kvIp !== undefined && !isFirst ? { kvIp: memory.kvIp } : {}),
    ...uploaded(input),
    ...(engineVersion === undefined ? {} : { engineVersion }),
  };
  return {
    action:
      id.role === "prefill" ? { kind: "startPrefill", ...rest } : { kind: "startDecode", ...rest },
  };
}

/** An address that prefill 0 had before it was lost is of use only to commands that do not hold it. */
function isKvIpKnown({ replicas }: World, { kvIp }: Memory, spec: JobSpec): boolean {
  if (kvIp === undefined) return false;
  if (!JSON.stringify(spec.roles).includes("{KV_IP}")) return true;
  const first = replicas.find(({ id }) => id.role === "prefill" && id.index === 0);
  return first?.current?.actor?.endpoint?.host === kvIp;
}
