import { httpUrl } from "../domain/names.ts";
import type { ObservedProxy } from "../domain/observed.ts";
import type { JobView, PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import type { JobPhase, ProxyStatus, ReplicaStatus } from "../domain/status.ts";
import { condemned } from "./condemn.ts";
import { eligibleMembers, hasFittingPair, servesAlone } from "./members.ts";
import { condemnedProxy } from "./proxy.ts";
import { isRelieved } from "./outdated.ts";
import { downOrUnhealthy, replicaStatus } from "./replica-status.ts";
import { isUpdating } from "./roll-back.ts";
import { whyHeldUp } from "./rollout.ts";
import { allProxies, isRetired, sameMembers } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

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
    ...world.replicas
      .filter((one) => !one.retired && isRelieved(one, input))
      .map(({ name }) => `${name} makes way for a new generation once another serves`),
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
      (replica) =>
        (replica.wanted && replica.retired) ||
        replica.surge ||
        // One that stood beside it leaves once that is done.
        input.memory.surge?.includes(replica.name) ||
        isRelieved(replica, input) ||
        (replica.wanted && condemned(replica, input) !== undefined),
    ) ||
    world.replicas.some((replica) => replaces(replica, world, input));
  return heals ? "HEALING" : "SCALING";
}

/** Is it on its way to serve in place of a generation that failed? It serves once the proxy was told of it. */
function replaces(replica: ReplicaWorld, world: World, { memory, spec }: PlanInput): boolean {
  const { name, current, wanted, retired } = replica;
  if (!wanted || retired || memory.failures[name]?.generation !== (current?.generation ?? 0) - 1)
    return false;
  if (spec.scheduler.membership === "none") return current?.actor?.state !== "healthy";
  const members = world.proxy?.membership?.members ?? memory.proxyCommand?.command.members ?? [];
  return !members.some((member) => member.name === current?.name);
}

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

function describeChange(unsettled: readonly string[], { phase }: ProxyStatus): string {
  if (unsettled.length > 0) return unsettled.join(", ");
  return phase === "READY" ? "the proxy is told who serves" : `the proxy is ${phase.toLowerCase()}`;
}

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
    ...(isServing && isDecodeLocal(proxy, input) ? { degraded: "decode-local" } : {}),
    ...noteOf(proxy, world, input),
    ...unreplaced(proxy, input),
  };
}

/** Does it know of decode replicas alone, which compute prompts themselves then? */
const isDecodeLocal = ({ membership }: ObservedProxy, { spec }: PlanInput): boolean =>
  membership !== undefined &&
  !hasFittingPair(membership.members) &&
  servesAlone(membership.members, spec);

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
