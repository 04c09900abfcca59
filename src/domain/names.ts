import { roles } from "./role.ts";
import type { ReplicaId } from "./role.ts";

/** Temporal task queue that workers poll unless told otherwise. */
export const defaultTaskQueue = "pdjob";
/** Temporal workflow type. */
export const workflowType = "PDJobWorkflow";

/** Lower-case letters, digits and inner dashes, 1 to 40 characters: safe in Ray names, file names and URLs. */
export const jobNamePattern = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

const workflowPrefix = "pdjob-";

export const workflowIdOf = (job: string): string => `${workflowPrefix}${job}`;

/** Inverse of `workflowIdOf`. */
export const jobOfWorkflow = (workflowId: string): string =>
  workflowId.slice(workflowId.startsWith(workflowPrefix) ? workflowPrefix.length : 0);

/** `prefill-0`: the name a user sees, stable over restarts. */
export const replicaName = ({ role, index }: ReplicaId): string => `${role}-${index}`;

/** The Ray name of an actor; `target` is what a user calls it, `prefill-0` or `proxy`. */
export const actorName = (job: string, target: string, generation: number, rank = 0): string =>
  `${job}-${target}-g${generation}${rank === 0 ? "" : `-r${rank}`}`;

/** `demo-prefill-0-g1`: the Ray name of the actor and placement group of one generation of a replica. */
export const incarnationName = (job: string, replica: ReplicaId, generation: number): string =>
  actorName(job, replicaName(replica), generation);

/** `demo-prefill-0-g1-r1`: the Ray name of the actor of one rank of a gang. Rank 0 bears the replica's own name. */
export const rankName = (
  job: string,
  replica: ReplicaId,
  generation: number,
  rank: number,
): string => actorName(job, replicaName(replica), generation, rank);

/** `demo-proxy-g1`: the Ray name of one generation of the proxy's actor. */
export const proxyName = (job: string, generation: number): string =>
  actorName(job, "proxy", generation);

/** Where a job that names no folder runs, on each node. */
export const defaultWorkingDir = (job: string): string => `/tmp/pdjob-${job}`;

const logFolder = "/.pdjob/logs/";

/** IPv6 addresses stand in brackets. Either part may be text that a plan shows for what it does not know yet. */
export const httpUrl = (host: string, port: number | string | undefined): string =>
  `http://${host.includes(":") ? `[${host}]` : host}:${port}`;

/** The file that takes an engine's or the proxy's output, on its node; `name` is its actor's. */
export const logPath = (workingDir: string, name: string): string =>
  `${workingDir}${logFolder}${name}.log`;

/** The working directory of a `logPath`; undefined for any other path. */
export function workingDirOfLog(path: string): string | undefined {
  const at = path.lastIndexOf(logFolder);
  return at < 0 ? undefined : path.slice(0, at);
}

export interface Incarnation extends ReplicaId {
  readonly job: string;
  readonly generation: number;
  /** 0 but for the followers of a gang. */
  readonly rank: number;
}

/** Inverse of `rankName`; undefined for any other name. Job names may hold dashes, so it reads from the end. */
export function parseIncarnation(name: string): Incarnation | undefined {
  const match = /^(.+)-(prefill|decode)-(\d+)-g(\d+)(?:-r([1-9]\d*))?$/.exec(name);
  if (!match) return undefined;
  const [, job = "", side, index, generation, rank] = match;
  const role = roles.find((one) => one === side);
  if (role === undefined) return undefined;
  return {
    job,
    role,
    index: Number(index),
    generation: Number(generation),
    rank: Number(rank ?? 0),
  };
}
