import type { Failure } from "../domain/errors.ts";
import type { Action } from "../domain/action.ts";
import type { Member, ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import { highestNamedIndex } from "../domain/scale.ts";
import { condemned, describeExit, firstLine, isLongLost, lastLines } from "./condemn.ts";
import type { ReplicaStep } from "./replica.ts";
import { mayRestart } from "./restarts.ts";
import { isRetired, memberOf, sameMembers } from "./world.ts";
import type { World } from "./world.ts";

/**
 * The replicas that the proxy may use now: wanted and healthy. One whose actor is silent for a moment stays where it is:
 * the way from us to it says little about the way from the proxy to it, which passes over members that fail.
 */
export function eligibleMembers(world: World, input: PlanInput): readonly Member[] {
  const routed = world.proxy?.membership?.members ?? [];
  return world.replicas.flatMap((replica) => {
    const actor = replica.current?.actor;
    if (!replica.wanted || replica.retired || !actor || condemned(replica, input)) return [];
    if (actor.state === "lost") return routed.filter(({ name }) => name === actor.name);
    return actor.state === "healthy" ? (memberOf(actor) ?? []) : [];
  });
}

/** Why the newest proxy cannot serve any more; undefined while it can, or when there is none. */
export function condemnedProxy(
  { proxy }: World,
  { memory, nowMs }: PlanInput,
): Failure | undefined {
  const recorded = memory.failures["proxy"];
  if (recorded && recorded.generation >= (proxy?.generation ?? 0)) {
    return { code: recorded.code, message: recorded.message };
  }
  if (proxy?.state === "exited")
    return { code: "ProxyExited", message: describeExit("The proxy", proxy) };
  if (proxy?.state === "unhealthy") {
    return {
      code: "ProxyTimeout",
      message: `The proxy stopped answering.${lastLines(proxy.logTail)}`,
    };
  }
  if (proxy?.state === "lost" && isLongLost(proxy.name, memory, nowMs)) {
    return {
      code: "ClusterChanged",
      message: "The proxy's actor does not answer: the head node is down or hung.",
    };
  }
  if (!proxy && memory.started["proxy"] !== undefined) {
    return { code: "ClusterChanged", message: "The proxy's actor is gone." };
  }
  return undefined;
}

/** Brings the proxy one step nearer to running with the right members. */
export function stepProxy(world: World, input: PlanInput): ReplicaStep {
  const { proxy, staleProxies } = world;
  const old = staleProxies[0];
  if (old) return { action: stop(old, input, "an older generation is left over") };
  const members = eligibleMembers(world, input);
  const verdict = condemnedProxy(world, input);
  if (proxy && verdict) return { action: stop(proxy, input, firstLine(verdict), verdict) };
  if (!proxy) return deploy(members, world, input, verdict !== undefined);
  if (isRetired("proxy", proxy.generation, input.desired))
    return { action: stop(proxy, input, "a new generation was asked for") };
  if (proxy.state === "lost") return undefined; // It answers again, or is condemned.
  if (proxy.state !== "healthy") return resume(proxy, input);
  return input.spec.scheduler.membership === "builtin"
    ? pointBuiltin(proxy, members, input)
    : redeployExternal(proxy, members, world, input);
}

/**
 * The first proxy waits for every replica, as the user expects READY to mean; a later one for one pair, since nobody is
 * served meanwhile. A proxy that used up its budget is tried once more whenever its members changed: the reason for its
 * end may have been one of them.
 */
function deploy(
  members: readonly Member[],
  world: World,
  input: PlanInput,
  replaces: boolean,
): ReplicaStep {
  const { memory, spec, nowMs } = input;
  const enough = memory.served
    ? hasPair(members) && namesNoOther(members, spec)
    : isComplete(members, world);
  if (!enough) return undefined;
  const { command } = memory.proxyCommand ?? {};
  const isNew = command === undefined || !sameMembers(command.members, members);
  // What was rendered within the budget is run, even if that was the last of it.
  if (replaces && !isRendered(members, input)) {
    const verdict = mayRestart("proxy", memory, spec.restart, nowMs);
    if (verdict.kind === "later" || (verdict.kind === "exhausted" && !isNew))
      return { wakeAtMs: verdict.atMs };
  }
  return renderThenRun(
    members,
    input,
    replaces ? "the proxy is replaced" : "every replica is healthy",
    replaces,
  );
}

function renderThenRun(
  members: readonly Member[],
  input: PlanInput,
  reason: string,
  replaces: boolean,
): ReplicaStep {
  const { memory, spec, nowMs } = input;
  const rendered = memory.proxyCommand;
  if (rendered && isRendered(members, input)) {
    return {
      action: {
        kind: "runProxy",
        generation: rendered.generation,
        command: rendered.command,
        deadlineMs: nowMs + spec.timeoutS * 1_000,
        reason,
      },
    };
  }
  const generation = Math.max(memory.generations["proxy"] ?? 0, spentGeneration(input)) + 1;
  return { action: { kind: "renderProxy", generation, members, replaces, reason } };
}

/** Is there a command for these members that was not run yet? */
function isRendered(members: readonly Member[], input: PlanInput): boolean {
  const { proxyCommand } = input.memory;
  return (
    proxyCommand !== undefined &&
    proxyCommand.generation > spentGeneration(input) &&
    sameMembers(proxyCommand.command.members, members)
  );
}

/** The newest generation that ran, failed to, or is to run no more. */
const spentGeneration = ({ desired, memory }: PlanInput): number =>
  Math.max(
    memory.started["proxy"] ?? 0,
    memory.failures["proxy"]?.generation ?? 0,
    desired.retired?.["proxy"] ?? 0,
  );

/** An actor without a running process: the worker died between two steps of `runProxy`. */
function resume(proxy: ObservedProxy, { memory, spec, nowMs }: PlanInput): ReplicaStep {
  const command = memory.proxyCommand;
  if (command?.generation !== proxy.generation) return undefined;
  const deadlineMs = nowMs + spec.timeoutS * 1_000;
  return {
    action: {
      kind: "runProxy",
      generation: proxy.generation,
      command: command.command,
      deadlineMs,
      reason: "the proxy is not up yet",
    },
  };
}

function pointBuiltin(
  proxy: ObservedProxy,
  members: readonly Member[],
  { memory }: PlanInput,
): ReplicaStep {
  const acknowledged = proxy.membership ?? { generation: 0, members: [] };
  if (sameMembers(acknowledged.members, members)) return undefined;
  const generation = Math.max(acknowledged.generation, memory.membershipGeneration) + 1;
  const reason = describeChange(acknowledged.members, members);
  return {
    action: {
      kind: "setMembership",
      proxyGeneration: proxy.generation,
      generation,
      members,
      reason,
    },
  };
}

/**
 * An external proxy knows its members from its command line, so a change restarts it. It is left alone while a
 * wanted replica is down: its command may name each index, and a restart would only drop streams.
 */
function redeployExternal(
  proxy: ObservedProxy,
  members: readonly Member[],
  world: World,
  input: PlanInput,
): ReplicaStep {
  if (input.spec.scheduler.membership !== "restart" || !isComplete(members, world))
    return undefined;
  const running = input.memory.proxyCommand;
  if (running?.generation === proxy.generation && sameMembers(running.command.members, members))
    return undefined;
  return renderThenRun(
    members,
    input,
    "the members changed and this proxy learns them from its command line",
    false,
  );
}

/** Can the command be filled from these members alone? It may name replicas by number. */
const namesNoOther = (members: readonly Member[], { scheduler }: PlanInput["spec"]): boolean =>
  roles.every(
    (role) =>
      highestNamedIndex(scheduler.command ?? [], role) <=
      members.filter((member) => member.role === role).length,
  );

const hasPair = (members: readonly Member[]): boolean =>
  roles.every((role) => members.some((member) => member.role === role));

const isComplete = (members: readonly Member[], world: World): boolean =>
  hasPair(members) && members.length === world.replicas.filter((replica) => replica.wanted).length;

const stop = (
  { generation }: ObservedProxy,
  { spec }: PlanInput,
  reason: string,
  verdict?: Failure,
): Action => ({
  kind: "stopProxy",
  generation,
  graceS: spec.stopGraceS,
  reason,
  ...(verdict ? { failure: { code: verdict.code, message: verdict.message } } : {}),
});

function describeChange(before: readonly Member[], after: readonly Member[]): string {
  const names = (list: readonly Member[], other: readonly Member[]) =>
    list.filter(({ name }) => !other.some((one) => one.name === name)).map(({ name }) => name);
  const added = names(after, before);
  const removed = names(before, after);
  const parts = [
    added.length > 0 ? `add ${added.join(", ")}` : "",
    removed.length > 0 ? `remove ${removed.join(", ")}` : "",
  ];
  return parts.filter(Boolean).join("; ") || "addresses changed";
}
