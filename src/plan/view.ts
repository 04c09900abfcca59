import type { Memory } from "../domain/memory.ts";
import { httpUrl } from "../domain/names.ts";
import type { ObservedProxy } from "../domain/observed.ts";
import type { JobView, PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import type { Failure } from "../domain/errors.ts";
import type { JobPhase, ProxyStatus, ReplicaStatus } from "../domain/status.ts";
import { canaryNote, isProven } from "./canary.ts";
import { condemned, firstLine } from "./condemn.ts";
import { eligibleMembers } from "./members.ts";
import { condemnedProxy } from "./proxy.ts";
import { whoHoldsGpus } from "./holders.ts";
import { inFlightOf } from "./replica.ts";
import { mayRestart } from "./restarts.ts";
import { isOutdated, isUpdating, whyHeldUp } from "./rollout.ts";
import { allProxies, isRetired, memberOf, sameMembers } from "./world.ts";
import type { Incarnation, ReplicaWorld, World } from "./world.ts";

/** What many proxies listen on unless told otherwise; a head node's own address is never this one. */
const loopback = "127.0.0.1";
const onLoopback = `it listens on ${loopback} alone, so that other machines cannot reach it: tell it another host in scheduler.command, such as --host 0.0.0.0`;

/** Tries to tell the proxy of its members after which an operator should look. */
const untoldMax = 3;

/** How the job stands, from what was observed. The phase is the first of the rules in `phaseOf` that holds. */
export function viewOf(world: World, input: PlanInput): JobView {
  const replicas = world.replicas.map((replica) => replicaStatus(replica, world, input));
  const proxy = proxyStatus(world, input);
  return { ...phaseOf(replicas, proxy, world, input), replicas, proxy };
}

type Standing = Pick<JobView, "phase" | "reason">;

function phaseOf(
  replicas: readonly ReplicaStatus[],
  proxy: ProxyStatus,
  world: World,
  input: PlanInput,
): Standing {
  if (input.desired.stop) {
    const left = replicas.length + allProxies(world).length;
    return { phase: "STOPPING", reason: `${left} of the job's parts are left to release` };
  }
  const down = [
    ...replicas.filter(({ phase }) => phase === "DOWN"),
    ...(proxy.phase === "DOWN" ? [proxy] : []),
  ][0];
  if (down) return { phase: "DEGRADED", reason: down.note ?? "a part of the job is down for good" };
  const untold = untoldNote(world, input);
  if (untold !== undefined && (input.memory.untold?.count ?? 0) >= untoldMax)
    return { phase: "DEGRADED", reason: untold };
  const waiting = replicas.find(({ phase }) => phase === "WAITING");
  if (waiting)
    return { phase: "WAITING", reason: waiting.note ?? `${waiting.name} waits for resources` };
  const unsettled = [
    ...replicas.flatMap(({ name, phase }) => (phase === "READY" ? [] : [`${name} ${phase}`])),
    ...outdatedCounts(replicas),
    ...calledOff(world, input).map((name) => `${name} called off`),
    ...world.staleProxies.map(({ generation }) => `proxy g${generation} DRAINING`),
  ];
  if (unsettled.length === 0 && proxy.phase === "READY" && isPointed(world, input)) {
    return { phase: "READY", reason: describeReady(world) };
  }
  const reason = untold ?? whyHeldUp(world, input) ?? describeChange(unsettled, proxy);
  return { phase: changingPhase(world, input), reason };
}

/** `2 prefill outdated`: they serve, and make way for the job's newest revision. */
const outdatedCounts = (replicas: readonly ReplicaStatus[]): readonly string[] =>
  roles.flatMap((role) => {
    const count = replicas.filter((one) => one.role === role && one.outdated).length;
    return count > 0 ? [`${count} ${role} outdated`] : [];
  });

function changingPhase(world: World, input: PlanInput): JobPhase {
  if (!input.memory.served) return "DEPLOYING";
  if (isUpdating(world, input)) return "UPDATING";
  const heals =
    condemnedProxy(world, input) !== undefined ||
    world.replicas.some(
      (replica) => replica.retired || (replica.wanted && condemned(replica, input) !== undefined),
    ) ||
    world.replicas.some(({ name, current }) => replaces(name, current, input.memory));
  return heals ? "HEALING" : "SCALING";
}

/** Is this generation the successor of one that failed? */
const replaces = (name: string, current: Incarnation | undefined, { failures }: Memory): boolean =>
  current !== undefined && failures[name]?.generation === current.generation - 1;

const describeReady = (world: World): string =>
  roles
    .map(
      (role) =>
        `${world.replicas.filter(({ wanted, id }) => wanted && id.role === role).length} ${role}`,
    )
    .join(" and ") + " replicas serve";

/** Replicas that nobody wants any more and whose reservation has not ended yet: its placement group may still appear. */
const calledOff = (world: World, { inFlight }: PlanInput): readonly string[] =>
  inFlight.flatMap(({ kind, target }) => {
    const isKnown = world.replicas.some(({ name }) => name === target);
    return kind === "reservePlacementGroup" && !isKnown ? [target] : [];
  });

const describeChange = (unsettled: readonly string[], proxy: ProxyStatus): string =>
  unsettled.length === 0 ? `the proxy is ${proxy.phase.toLowerCase()}` : unsettled.join(", ");

/** Does the proxy use exactly the replicas that may be used? */
function isPointed(world: World, input: PlanInput): boolean {
  const members = eligibleMembers(world, input);
  const { proxy } = world;
  if (proxy?.membership) return sameMembers(proxy.membership.members, members);
  if (input.spec.scheduler.membership === "builtin") return false;
  const command = input.memory.proxyCommand;
  return (
    input.spec.scheduler.membership === "none" ||
    // A command that is rendered and does not run yet says nothing of the proxy that runs.
    (command !== undefined &&
      command.generation === proxy?.generation &&
      sameMembers(command.command.members, members))
  );
}

function replicaStatus(replica: ReplicaWorld, world: World, input: PlanInput): ReplicaStatus {
  const { id, name, current } = replica;
  const actor = current?.actor;
  const member = actor && memberOf(actor);
  const nodeIps = current?.group?.nodeIps ?? [];
  return {
    name,
    role: id.role,
    index: id.index,
    generation: current?.generation ?? input.memory.generations[name] ?? 0,
    ...(isOutdated(replica, input) ? { outdated: true as const } : {}),
    ...(member ? { url: member.url } : {}),
    ...(nodeIps.length > 1 ? { nodeIps } : {}),
    ...(actor && world.proxy?.inFlight ? { inFlight: inFlightOf(actor.name, world) } : {}),
    ...replicaPhase(replica, world, input),
  };
}

/** By Ray's own word for why a placement group is pending. */
const waitsFor: Readonly<Record<string, string>> = {
  NO_RESOURCES: "GPUs or CPUs that others hold",
  INFEASIBLE: "a node with as many GPUs and CPUs as it needs; none is there now",
};

function replicaPhase(
  replica: ReplicaWorld,
  world: World,
  input: PlanInput,
): Pick<ReplicaStatus, "phase" | "note" | "failure"> {
  const { current, name, wanted, retired } = replica;
  if (!wanted || retired)
    return {
      phase: world.proxy?.state === "healthy" && !input.desired.stop ? "DRAINING" : "STOPPING",
    };
  const verdict = condemned(replica, input);
  if (verdict) return downOrUnhealthy(name, verdict, input);
  if (!current) return { phase: "RESERVING" };
  if (current.group?.state !== "CREATED") {
    const why = waitsFor[current.group?.schedulingState ?? ""];
    const holders = why && whoHoldsGpus(input.observed);
    const note = `${name} waits for ${why}${holders ? ` (${holders})` : ""}`;
    return why ? { phase: "WAITING", note } : { phase: "RESERVING" };
  }
  const state = current.actor?.state;
  if (state === "starting") return { phase: "STARTING", note: bootNote(name, current, input) };
  if (state !== "healthy") return { phase: "STARTING" };
  return isProven(replica, world, input)
    ? { phase: "READY" }
    : { phase: "STARTING", note: canaryNote(replica, input) };
}

/** The moments themselves, and not how long ago they were: a note that changed all the time would be no news. */
function bootNote(name: string, { generation }: Incarnation, { memory, spec }: PlanInput): string {
  const { started, startedAtMs } = memory;
  const sinceMs = started[name] === generation ? startedAtMs[name] : undefined;
  if (sinceMs === undefined) return "booting";
  const untilMs = sinceMs + spec.timeoutS * 1_000;
  return `booting since ${timeOfDay(sinceMs)}; its timeout of ${spec.timeoutS} s ends at ${timeOfDay(untilMs)}`;
}

/** `09:05:00 UTC`. */
function timeOfDay(atMs: number): string {
  const second = Math.floor(atMs / 1_000) % 86_400;
  const parts = [second / 3_600, (second / 60) % 60, second % 60];
  const digits = parts.map((part) => String(Math.floor(part)).padStart(2, "0"));
  return `${digits.join(":")} UTC`;
}

function downOrUnhealthy(
  target: string,
  { code, message }: Failure,
  { memory, spec, nowMs }: PlanInput,
): { phase: "DOWN" | "UNHEALTHY"; note: string; failure: Failure } {
  const failure = { code, message };
  const cause = firstLine(failure);
  const verdict = mayRestart(target, memory, spec.restart, nowMs);
  if (verdict.kind !== "exhausted") return { phase: "UNHEALTHY", note: cause, failure };
  const note = `${target} was replaced ${verdict.count} times within ${spec.restart.windowS} s and is left down: ${cause}`;
  return { phase: "DOWN", note, failure };
}

function proxyStatus(world: World, input: PlanInput): ProxyStatus {
  const { proxy } = world;
  const { scheduler } = input.spec;
  const builtin = scheduler.membership === "builtin";
  const verdict = condemnedProxy(world, input);
  if (verdict) {
    const { phase, ...why } = downOrUnhealthy("proxy", verdict, input);
    return { phase: phase === "DOWN" ? "DOWN" : "STARTING", builtin, ...why };
  }
  if (!proxy) return { phase: "PENDING", builtin };
  const isServing =
    proxy.state === "healthy" && !isRetired("proxy", proxy.generation, input.desired);
  return {
    phase: isServing ? "READY" : "STARTING",
    builtin,
    generation: proxy.generation,
    ...(proxy.host === undefined ? {} : { url: httpUrl(proxy.host, proxy.port ?? scheduler.port) }),
    ...(proxy.membership ? { membershipGeneration: proxy.membership.generation } : {}),
    ...noteOf(proxy, world, input),
    ...unreplaced(proxy, input),
  };
}

/** It was to make way for a newer one, which could not be started. */
function unreplaced(
  { generation }: ObservedProxy,
  input: PlanInput,
): Partial<Pick<ProxyStatus, "phase" | "note" | "failure">> {
  const failed = input.memory.failures["proxy"];
  if (!failed || failed.generation <= generation) return {};
  const { phase, note, failure } = downOrUnhealthy("proxy", failed, input);
  return {
    ...(phase === "DOWN" && isRetired("proxy", generation, input.desired) ? { phase } : {}),
    note: `generation ${generation} goes on: ${note}`,
    failure,
  };
}

function noteOf(
  { host }: ObservedProxy,
  world: World,
  input: PlanInput,
): { readonly note?: string } {
  const untold = untoldNote(world, input);
  if (untold !== undefined) return { note: untold };
  return host === loopback ? { note: onLoopback } : {};
}

function untoldNote(world: World, input: PlanInput): string | undefined {
  const { untold } = input.memory;
  if (!untold || !world.proxy || isPointed(world, input)) return undefined;
  return `${untold.message} It was tried ${untold.count} times and is tried again.`;
}
