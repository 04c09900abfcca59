import { ClientError } from "../client/client-error.ts";
import {
  actorName,
  defaultWorkingDir,
  parseIncarnation,
  replicaName,
  workingDirOfLog,
} from "../domain/names.ts";
import type { LogPlace } from "../domain/status.ts";
import type { Agent } from "../ray/agent.ts";
import type { VerbResult } from "../ray/contract.ts";
import { withClient } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { warn } from "./output.ts";

export type LogPiece = VerbResult<"logs">;

/** The log of one generation of a replica or of the proxy. */
export interface LogSource {
  readonly replica: string;
  readonly generation: number;
  /** Its actor is there, so more may come. */
  readonly live: boolean;
  /** From `offset`, or the last `maxBytes`. */
  read(offset: number | undefined, maxBytes: number): Promise<LogPiece>;
}

export interface LogWanted {
  readonly generation?: number;
  readonly previous?: boolean;
  /** Of a replica that spans nodes: the rank, each of which has a log on its own node. */
  readonly rank?: number;
}

/** What runs now, or an older generation, or what ran last when nothing does. Exits 4 when there is no such thing. */
export async function findLog(
  agent: Agent,
  job: string,
  replica: string,
  { generation, previous, rank = 0, ...flags }: LogWanted & ConnectionFlags,
): Promise<LogSource> {
  const running = await runningOf(agent, job, rank);
  const newest = newestOf(running, replica);
  if (newest && !previous && (generation === undefined || generation === newest.generation))
    return liveSource(agent, job, newest, rank);
  const places = await placesOf(job, flags);
  const generations = [...running, ...places]
    .flatMap((one) => (one.name === replica ? [one.generation] : []))
    .toSorted((a, b) => b - a);
  const last = generations[0];
  const wanted = generation ?? (previous ? generations.find((one) => one < (last ?? 0)) : last);
  if (wanted === undefined) throw notThere(job, replica, last, [...running, ...places]);
  return leftSource(agent, job, { replica, generation: wanted, rank }, places);
}

/** The replica's newest generation that has an actor. */
export async function findRunning(
  agent: Agent,
  job: string,
  replica: string,
  rank: number,
): Promise<LogSource | undefined> {
  const newest = newestOf(await runningOf(agent, job, rank), replica);
  return newest && liveSource(agent, job, newest, rank);
}

interface Running {
  readonly name: string;
  readonly generation: number;
}

const newestOf = (running: readonly Running[], replica: string): Running | undefined =>
  running.filter(({ name }) => name === replica).toSorted((a, b) => b.generation - a.generation)[0];

async function runningOf(agent: Agent, job: string, rank: number): Promise<readonly Running[]> {
  const { replicas, proxies, followers = [] } = await agent.call("list", { job });
  return [...replicas, ...followers, ...proxies].flatMap(({ name, generation }) => {
    const parsed = parseIncarnation(name);
    if ((parsed?.rank ?? 0) !== rank) return [];
    return [{ name: parsed ? replicaName(parsed) : "proxy", generation }];
  });
}

const liveSource = (
  agent: Agent,
  job: string,
  { name, generation }: Running,
  rank: number,
): LogSource => ({
  replica: name,
  generation,
  live: true,
  read: (offset, maxBytes) =>
    agent.call("logs", {
      name: actorName(job, name, generation, rank),
      ...(offset === undefined ? {} : { offset }),
      maxBytes,
    }),
});

/** Where a follower ran, or a generation that Temporal does not know any more, is not written down: every node is asked. */
function leftSource(
  agent: Agent,
  job: string,
  { replica, generation, rank }: { replica: string; generation: number; rank: number },
  places: readonly LogPlace[],
): LogSource {
  const place = places.find((one) => one.name === replica && one.generation === generation);
  // A job's logs are in one folder, so any of them tells it.
  const known = place ?? places[0];
  const workingDir = (known && workingDirOfLog(known.path)) ?? defaultWorkingDir(job);
  return {
    replica,
    generation,
    live: false,
    read: (offset, maxBytes) =>
      agent.call("logFile", {
        name: actorName(job, replica, generation, rank),
        workingDir,
        ...(place && rank === 0 ? { host: place.host } : {}),
        ...(offset === undefined ? {} : { offset }),
        maxBytes,
      }),
  };
}

/** Where the job's logs are, also when it has ended. Ray alone must do when Temporal does not tell. */
async function placesOf(job: string, flags: ConnectionFlags): Promise<readonly LogPlace[]> {
  try {
    return await withClient(flags, async (client) => (await client.status(job)).logs ?? []);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    warn(`Where it ran is not known (${error.message}) Every node is looked at.`);
    return [];
  }
}

function notThere(
  job: string,
  replica: string,
  last: number | undefined,
  known: readonly Running[],
): Exit {
  if (last !== undefined)
    return new Exit(4, `${replica} of job ${job} is at generation ${last}: nothing ran before.`);
  const names = [...new Set(known.map(({ name }) => name))].toSorted();
  const has =
    names.length > 0
      ? `It has: ${names.join(", ")}.`
      : "Nothing of that job runs on this cluster. With --generation N, its nodes are searched for an older log.";
  return new Exit(4, `Job ${job} has no ${replica} on this cluster. ${has}`);
}
