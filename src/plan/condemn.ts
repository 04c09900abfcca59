import type { Failure } from "../domain/errors.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { Incarnation, ReplicaWorld } from "./world.ts";

/**
 * Why the newest generation of a replica cannot serve any more; undefined while it can.
 * `fatal` failures end a first deployment; the others come from the cluster and are healed even then.
 */
export interface Condemned extends Failure {
  readonly fatal: boolean;
}

/** The rules in order: a recorded failure, a dead engine, a hung engine, a vanished or unreachable actor. */
export function condemned(replica: ReplicaWorld, input: PlanInput): Condemned | undefined {
  const { current, name } = replica;
  const generation = current?.generation ?? 0;
  const recorded = input.memory.failures[name];
  if (recorded && recorded.generation >= generation) {
    return { code: recorded.code, message: recorded.message, fatal: true };
  }
  if (!current) return undefined;
  return engineEnded(current, name) ?? actorGone(current, name, input);
}

function engineEnded({ actor, generation }: Incarnation, name: string): Condemned | undefined {
  if (actor?.state === "exited") {
    return {
      code: "EngineExited",
      message: describeExit(`The engine of ${name} g${generation}`, actor),
      fatal: true,
    };
  }
  if (actor?.state === "unhealthy") {
    const message = `The engine of ${name} g${generation} stopped answering /health.${lastLines(actor.logTail)}`;
    return { code: "EngineHealthTimeout", message, fatal: false };
  }
  return undefined;
}

function actorGone(
  { actor, group, generation }: Incarnation,
  name: string,
  { memory }: PlanInput,
): Condemned | undefined {
  if (actor?.state === "lost") {
    return {
      code: "ClusterChanged",
      message: `The actor of ${name} g${generation} does not answer: its node is down or hung.`,
      fatal: false,
    };
  }
  if (group?.state === "RESCHEDULING") {
    return {
      code: "ClusterChanged",
      message: `The node of ${name} g${generation} is gone.`,
      fatal: false,
    };
  }
  if (!actor && memory.started[name] === generation) {
    return {
      code: "ClusterChanged",
      message: `The actor of ${name} g${generation} is gone.`,
      fatal: false,
    };
  }
  return undefined;
}

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
