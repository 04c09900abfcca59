import type { Failure } from "../domain/errors.ts";
import type { Memory } from "../domain/memory.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { Incarnation, ReplicaWorld } from "./world.ts";

/**
 * A failure of the cluster under us, not of what the user asked for: it is healed even during a first deployment,
 * which every other failure ends.
 */
export const isClusterFault = ({ code }: Failure): boolean =>
  code === "ClusterChanged" || code === "RayUnreachable" || code === "AgentUnreachable";

/** A node that is busy or cut off for a moment must not cost a replica; one that stays silent for this long does. */
export const lostForMs = 5_000;

/**
 * Why the newest generation of a replica cannot serve any more; undefined while it can.
 * The rules in order: a recorded failure, a dead engine, a hung engine, a vanished or unreachable actor.
 */
export function condemned(replica: ReplicaWorld, input: PlanInput): Failure | undefined {
  const { current, name } = replica;
  const generation = current?.generation ?? 0;
  const recorded = input.memory.failures[name];
  if (recorded && recorded.generation >= generation) {
    return { code: recorded.code, message: recorded.message };
  }
  if (!current) return undefined;
  return engineEnded(current, name) ?? actorGone(current, name, input);
}

function engineEnded({ actor, generation }: Incarnation, name: string): Failure | undefined {
  if (actor?.state === "exited") {
    return {
      code: "EngineExited",
      message: describeExit(`The engine of ${name} g${generation}`, actor),
    };
  }
  if (actor?.state === "unhealthy") {
    const message = `The engine of ${name} g${generation} stopped answering /health.${lastLines(actor.logTail)}`;
    return { code: "EngineHealthTimeout", message };
  }
  return undefined;
}

function actorGone(
  { actor, group, generation }: Incarnation,
  name: string,
  { memory, nowMs }: PlanInput,
): Failure | undefined {
  if (actor?.state === "lost" && isLongLost(actor.name, memory, nowMs)) {
    return {
      code: "ClusterChanged",
      message: `The actor of ${name} g${generation} has not answered for ${lostForMs / 1_000} s: its node is down or hung.`,
    };
  }
  if (group?.state === "RESCHEDULING") {
    return {
      code: "ClusterChanged",
      message: `The node of ${name} g${generation} is gone.`,
    };
  }
  if (!actor && memory.started[name] === generation) {
    return {
      code: "ClusterChanged",
      message: `The actor of ${name} g${generation} is gone.`,
    };
  }
  return undefined;
}

export const isLongLost = (incarnation: string, { lostSinceMs }: Memory, nowMs: number): boolean =>
  nowMs >= (lostSinceMs[incarnation] ?? nowMs) + lostForMs;

/** `… exited with code 1 (signal KILL). Last lines: …` for engines and proxies alike. */
export function describeExit(
  what: string,
  {
    exit,
    logTail,
  }: {
    readonly exit?: { readonly code: number | null; readonly signal: string | null };
    readonly logTail?: string;
  },
): string {
  const how = exit?.signal
    ? `was ended by ${exit.signal}`
    : `exited with code ${exit?.code ?? "unknown"}`;
  return `${what} ${how}.${lastLines(logTail)}`;
}

export const lastLines = (logTail: string | undefined): string =>
  logTail ? ` Its last lines:\n${logTail}` : "";

export const firstLine = ({ message }: Failure): string => message.split("\n", 1)[0] ?? "";
