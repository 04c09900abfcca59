import type { Failure } from "../domain/errors.ts";
import type { Memory } from "../domain/memory.ts";
import type { ObservedReplica } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { failedCanary } from "./canary.ts";
import { afterExit, afterLoss } from "./next-step.ts";
import { gangBundles } from "./world.ts";
import type { Incarnation, ReplicaWorld } from "./world.ts";

/** A node that is busy or cut off for a moment must not cost a replica; one that stays silent for this long does. */
export const lostForMs = 5_000;

/**
 * Why the newest generation of a replica cannot serve any more; undefined while it can.
 * The rules in order: a recorded failure, a vanished or unreachable actor, a dead engine, a hung engine, one through
 * which no request comes. What vanished comes first, because the other ranks of a gang exit in consequence.
 */
export function condemned(replica: ReplicaWorld, input: PlanInput): Failure | undefined {
  const { current, name } = replica;
  const generation = current?.generation ?? 0;
  const recorded = input.memory.failures[name];
  if (recorded && recorded.generation >= generation) {
    return { code: recorded.code, message: recorded.message };
  }
  if (!current) return undefined;
  return (
    actorGone(current, name, input) ??
    rankGone(current, name, input) ??
    engineEnded(current, name, input) ??
    failedCanary(replica, input)
  );
}

function engineEnded(
  { actor, followers, generation }: Incarnation,
  name: string,
  { spec }: PlanInput,
): Failure | undefined {
  const ended = firstExited([...(actor ? [actor] : []), ...followers]);
  if (ended) return engineExited(spec.name, name, ended);
  if (actor?.state === "unhealthy") {
    const what = `The engine of ${name} g${generation} ${howItHangs(actor)}`;
    return { code: "EngineHealthTimeout", message: what + lastLines(actor.logTail) };
  }
  return undefined;
}

const howItHangs = ({ stalledS }: ObservedReplica): string =>
  stalledS === undefined
    ? "stopped answering /health."
    : `hangs: it answers /health, but its engine core makes no progress for ${stalledS} s.`;

export function engineExited(job: string, name: string, ended: Ended & Rank): Failure {
  const { generation, rank } = ended;
  const next = afterExit({ job, name, generation, rank });
  return { code: "EngineExited", message: describeExit(nameOfRank(name, ended), ended) + next };
}

interface Rank {
  readonly generation: number;
  readonly rank?: number;
}

/** Any rank's end is the gang's end: vLLM cannot take a rank back. */
function rankGone(
  current: Incarnation,
  name: string,
  { memory, nowMs, spec }: PlanInput,
): Failure | undefined {
  const { actor, followers, generation } = current;
  const next = (rank: number): string => afterLoss({ job: spec.name, name, generation, rank });
  const lost = followers.find((one) => one.state === "lost" && isLongLost(one.name, memory, nowMs));
  if (lost) {
    const message = `${nameOfRank(name, lost)} has not answered for ${lostForMs / 1_000} s: its node is down or hung.`;
    return { code: "RankLost", message: message + next(lost.rank) };
  }
  if (actor?.state === "idle") return undefined;
  // Followers start first and rank 0 last: one that runs had a rank 0, and a rank 0 that runs had all of them.
  const running = followers.filter(({ state }) => state !== "idle").map(({ rank }) => rank);
  const expected = actor ? followerRanks(current) : running.length > 0 ? [0] : [];
  const gone = expected.find((rank) => !running.includes(rank));
  if (gone === undefined) return undefined;
  const message = `${nameOfRank(name, { generation, rank: gone })} is gone.`;
  return { code: "RankLost", message: message + next(gone) };
}

const followerRanks = (current: Incarnation): readonly number[] =>
  (gangBundles(current) ?? []).slice(1).map((_, index) => index + 1);

/** The rank whose end came first: the others only followed. */
export const firstExited = <T extends { readonly state: string; readonly exit?: { atMs: number } }>(
  ranks: readonly T[],
): T | undefined =>
  ranks
    .filter(({ state }) => state === "exited")
    .toSorted((a, b) => (a.exit?.atMs ?? 0) - (b.exit?.atMs ?? 0))[0];

/** `The engine of prefill-0 g1`, or of its gang `Rank 2 of prefill-0 g1`. */
export const nameOfRank = (name: string, { generation, rank = 0 }: Rank): string =>
  rank === 0 ? `The engine of ${name} g${generation}` : `Rank ${rank} of ${name} g${generation}`;

function actorGone(current: Incarnation, name: string, input: PlanInput): Failure | undefined {
  const text = lossOf(current, name, input);
  if (text === undefined) return undefined;
  const next = afterLoss({ job: input.spec.name, name, generation: current.generation });
  return { code: "ClusterChanged", message: text + next };
}

function lossOf(
  { actor, group, generation }: Incarnation,
  name: string,
  { memory, nowMs }: PlanInput,
): string | undefined {
  const who = `${name} g${generation}`;
  if (actor?.state === "lost" && isLongLost(actor.name, memory, nowMs))
    return `The actor of ${who} has not answered for ${lostForMs / 1_000} s: its node is down or hung.`;
  if (group?.state === "RESCHEDULING") return `The node of ${who} is gone.`;
  if (!actor && memory.started[name] === generation) return `The actor of ${who} is gone.`;
  return undefined;
}

export const isLongLost = (incarnation: string, { lostSinceMs }: Memory, nowMs: number): boolean =>
  nowMs >= (lostSinceMs[incarnation] ?? nowMs) + lostForMs;

interface Ended {
  readonly exit?: { readonly code: number | null; readonly signal: string | null };
  readonly logTail?: string;
}

/** `… exited with code 1 (signal KILL). Last lines: …` for engines and proxies alike. */
export function describeExit(what: string, { exit, logTail }: Ended): string {
  const how = exit?.signal
    ? `was ended by ${exit.signal}`
    : `exited with code ${exit?.code ?? "unknown"}`;
  return `${what} ${how}.${lastLines(logTail)}`;
}

export const lastLines = (logTail: string | undefined): string =>
  logTail ? ` Its last lines:\n${logTail}` : "";

/** The sentence of a failure, without the log lines that follow it. */
export const firstLine = ({ message }: Failure): string =>
  (message.split("\n", 1)[0] ?? "").replace(/ Its last lines:$/, "");
