import type { Failure } from "../domain/errors.ts";
import { replacedProxy } from "../domain/action.ts";
import type { Member, ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import { firstLine } from "./condemn.ts";
import { isRendered, renderThenRun, run } from "./proxy-command.ts";
import type { ReplicaStep } from "./replica.ts";
import { mayRestart } from "./restarts.ts";
import { isRetired } from "./world.ts";
import type { World } from "./world.ts";

/*
 * The built-in proxy never leaves its port: the actor of each generation holds the listening socket, and hands it on to
 * the next. So a newer one starts beside the one that serves, with the same members; and a process that ended is started
 * anew where it was, while clients wait.
 */

/** Clients wait this long for a back-off to end; past it they are refused, which says more than silence. */
const heldMaxMs = 5_000;

export const anew = "a new generation was asked for";

/**
 * What to do about a built-in proxy that cannot serve any more, without a client being refused. Undefined when its port
 * is to be given up: its actor is gone or silent, it could not be started at all, or it must not be replaced now.
 */
export function replaceFailed(
  proxy: ObservedProxy,
  verdict: Failure,
  members: readonly Member[],
  input: PlanInput,
): ReplicaStep {
  const { memory, desired, spec, nowMs } = input;
  const isRecorded = (memory.failures["proxy"]?.generation ?? 0) >= proxy.generation;
  if (isRecorded || proxy.state === "lost") return undefined;
  if (isRetired("proxy", proxy.generation, desired)) return succeed(proxy, members, input);
  const command = memory.proxyCommand;
  const isKnown = proxy.state === "exited" && command?.generation === proxy.generation;
  const reason = firstLine(verdict);
  // What was rendered within the budget is run, even if that was the last of it.
  const isPlanned = !isKnown && isRendered(members, input);
  const budget = mayRestart("proxy", memory, spec.restart, nowMs);
  if (!isPlanned && budget.kind !== "now")
    return budget.atMs - nowMs <= heldMaxMs ? { wakeAtMs: budget.atMs } : undefined;
  if (!isKnown) return renderThenRun(members, input, reason, true);
  const next = { ...command.command, members };
  return { action: { ...run(proxy.generation, next, input, reason), run: (proxy.run ?? 1) + 1 } };
}

/** A generation that was asked for starts beside this one. When it cannot, this one goes on, and it is tried again. */
export function succeed(
  { generation }: ObservedProxy,
  members: readonly Member[],
  input: PlanInput,
): ReplicaStep {
  const { memory, spec, nowMs } = input;
  const hasFailed = (memory.failures["proxy"]?.generation ?? 0) > generation;
  if (hasFailed && !isRendered(members, input)) {
    const budget = mayRestart("proxy", memory, spec.restart, nowMs);
    if (budget.kind !== "now") return { wakeAtMs: budget.atMs };
  }
  return renderThenRun(members, input, anew, hasFailed);
}

/**
 * The newest proxy serves, and has its members: what it has replaced takes no more connections, ends those that it has,
 * and goes. Until then it must not send requests to replicas that leave.
 */
export function stepReplaced(
  { staleProxies, busy }: World,
  members: readonly Member[],
  input: PlanInput,
): ReplicaStep {
  for (const old of staleProxies) {
    const isBusy = busy.has(replacedProxy(old.generation));
    const step = forget(old, members, input) ?? (isBusy ? undefined : end(old, input));
    if (step) return step;
  }
  return undefined;
}

function forget(
  { generation, state, membership }: ObservedProxy,
  members: readonly Member[],
  { memory }: PlanInput,
): ReplicaStep {
  const known = membership?.members ?? [];
  const left = known.filter(({ name }) => !members.some((member) => member.name === name));
  if (state !== "healthy" || left.length === 0) return undefined;
  return {
    action: {
      kind: "setMembership",
      proxyGeneration: generation,
      generation: Math.max(membership?.generation ?? 0, memory.membershipGeneration) + 1,
      members: known.filter((member) => !left.includes(member)),
      reason: `remove ${left.map(({ name }) => name).join(", ")} from the proxy that ends`,
    },
  };
}

function end({ name, generation, state }: ObservedProxy, input: PlanInput): ReplicaStep {
  const { memory, spec, nowMs } = input;
  if (state === "healthy" && !memory.drained.includes(name)) {
    const drainS = Math.max(...roles.map((role) => spec.drainS[role]));
    const reason = "a newer generation serves; its clients' connections end first";
    const deadlineMs = nowMs + drainS * 1_000;
    return { action: { kind: "drainProxy", generation, deadlineMs, reason } };
  }
  return {
    action: {
      kind: "stopProxy",
      generation,
      isReplaced: true,
      graceS: spec.stopGraceS,
      reason: "a newer generation serves",
    },
  };
}
