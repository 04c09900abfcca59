import type { Failure } from "../domain/errors.ts";
import type { Action } from "../domain/action.ts";
import type { RecordedFailure } from "../domain/memory.ts";
import type { Member, ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { describeExit, firstLine, isLongLost, lastLines } from "./condemn.ts";
import { afterLoss } from "./next-step.ts";
import { eligibleMembers, hasPair, isComplete, namesNoOther, servesAlone } from "./members.ts";
import { lacksFiles } from "./files.ts";
import { anew, replaceFailed, stepReplaced, succeed } from "./hand-over.ts";
import { stepMembership } from "./membership.ts";
import { isRendered, renderThenRun, run } from "./proxy-command.ts";
import type { ReplicaStep } from "./replica.ts";
import { mayRestart } from "./restarts.ts";
import { isRetired, sameMembers } from "./world.ts";
import type { World } from "./world.ts";

/** Why the newest proxy cannot serve any more; undefined while it can, or when there is none. */
export function condemnedProxy(
  { proxy }: World,
  { memory, nowMs, spec }: PlanInput,
): Failure | undefined {
  const recorded = memory.failures["proxy"];
  const next = afterLoss({ job: spec.name, name: "proxy" });
  if (recorded && (isOf(recorded, proxy) || recorded.generation > newestOf(proxy, spec))) {
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
      message: `The proxy's actor does not answer: the head node is down or hung.${next}`,
    };
  }
  if (!proxy && memory.started["proxy"] !== undefined) {
    return { code: "ClusterChanged", message: `The proxy's actor is gone.${next}` };
  }
  return undefined;
}

const isOf = ({ generation }: RecordedFailure, proxy: ObservedProxy | undefined): boolean =>
  generation === proxy?.generation;

/** A built-in proxy goes on when a newer one could not take over from it. */
const newestOf = (proxy: ObservedProxy | undefined, { scheduler }: PlanInput["spec"]): number =>
  !proxy ? -1 : scheduler.membership === "builtin" ? Infinity : proxy.generation;

/** Brings the proxy one step nearer to running with the right members. */
export function stepProxy(world: World, input: PlanInput): ReplicaStep {
  const { proxy, staleProxies } = world;
  const handsOver = input.spec.scheduler.membership === "builtin" && !isExternal(proxy, input);
  const old = staleProxies[0];
  if (old && !handsOver) return { action: stop(old, input, "an older generation is left over") };
  const members = eligibleMembers(world, input);
  const verdict = condemnedProxy(world, input);
  if (proxy && verdict)
    return (
      (handsOver ? replaceFailed(proxy, verdict, members, input) : undefined) ?? {
        action: stop(proxy, input, firstLine(verdict), verdict),
      }
    );
  if (!proxy) return deploy(members, world, input, verdict !== undefined);
  if (isRetired("proxy", proxy.generation, input.desired)) {
    if (!handsOver) return { action: stop(proxy, input, anew) };
    const step = succeed(proxy, members, input);
    // While the next one may not be tried again it goes on, with the members that there are now.
    const isWaiting = step !== undefined && "wakeAtMs" in step && proxy.state === "healthy";
    return (isWaiting ? stepMembership(proxy, members, world, input) : undefined) ?? step;
  }
  if (proxy.state === "lost") return undefined; // It answers again, or is condemned.
  if (proxy.state !== "healthy") return resume(proxy, input);
  return stepMembership(proxy, members, world, input) ?? stepReplaced(world, members, input);
}

/** Is it another program, which a changed config did away with? Then its port has to be given up first. */
const isExternal = (proxy: ObservedProxy | undefined, { memory }: PlanInput): boolean =>
  proxy !== undefined &&
  memory.proxyCommand?.generation === proxy.generation &&
  !memory.proxyCommand.command.builtin;

/**
 * The first proxy waits for every replica, as the user expects READY to mean; a later one for one pair, or for what serves
 * without a prefill, since nobody is served meanwhile. A proxy that used up its budget is tried once more whenever its members changed: the reason for its
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
    ? (hasPair(members) || servesAlone(members, spec)) && namesNoOther(members, spec)
    : isComplete(members, world, input);
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

/** An actor without a running process: the worker died between two steps of `runProxy`. */
function resume(proxy: ObservedProxy, input: PlanInput): ReplicaStep {
  if (lacksFiles(input)) return undefined;
  const command = input.memory.proxyCommand;
  if (command?.generation !== proxy.generation) return undefined;
  return { action: run(proxy.generation, command.command, input, "the proxy is not up yet") };
}

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
