import type { Failure } from "../domain/errors.ts";
import type { PlanInput } from "../domain/plan.ts";
import type { ReplicaStatus } from "../domain/status.ts";
import { canaryNote, isProven } from "./canary.ts";
import { condemned, firstLine } from "./condemn.ts";
import { whoHoldsGpus } from "./holders.ts";
import { isOutdated } from "./outdated.ts";
import { inFlightOf } from "./replica.ts";
import { isPausing, wholeNeed } from "./reservation.ts";
import { mayRestart } from "./restarts.ts";
import { memberOf } from "./world.ts";
import type { Incarnation, ReplicaWorld, World } from "./world.ts";

/** How one replica stands. */
export function replicaStatus(
  replica: ReplicaWorld,
  world: World,
  input: PlanInput,
): ReplicaStatus {
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
  if (isPausing(input.memory)) return { phase: "WAITING", note: pauseNote(name, world, input) };
  if (!current) return { phase: "RESERVING" };
  if (current.group?.state !== "CREATED") {
    const why = waitsFor[current.group?.schedulingState ?? ""];
    const holders =
      why && input.spec.roles[replica.id.role].numGpus > 0 && whoHoldsGpus(input.observed);
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

/** A first deployment that gave back what it had. */
function pauseNote(name: string, world: World, input: PlanInput): string {
  const { GPU: gpus, CPU: cpus } = wholeNeed(world, input);
  const holders = gpus > 0 ? whoHoldsGpus(input.observed) : undefined;
  const need = gpus > 0 ? `${gpus} GPUs` : `${cpus} CPUs`;
  const again = timeOfDay(input.memory.reserving?.againAtMs ?? 0);
  return `${name} waits until the whole job has room (it needs ${need}${holders ? `; ${holders}` : ""}): what it could have was given back, lest two jobs wait for each other, and is asked for again at ${again}`;
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

/** Of what was condemned, a replica or the proxy: is it replaced, or left down? */
export function downOrUnhealthy(
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
