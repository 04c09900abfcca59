import type { ReplicaId, Role } from "./role.ts";

/** Temporal task queue that workers poll unless told otherwise. */
export const defaultTaskQueue = "pdjob";
/** Temporal workflow type. */
export const workflowType = "PDJobWorkflow";

/** Lower-case letters, digits and inner dashes, 1 to 40 characters: safe in Ray names, file names and URLs. */
export const jobNamePattern = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

export const workflowIdOf = (job: string): string => `pdjob-${job}`;

/** `prefill-0`: the name a user sees, stable over restarts. */
export const replicaName = ({ role, index }: ReplicaId): string => `${role}-${index}`;

/** `demo-prefill-0-g1`: the Ray name of the actor and placement group of one generation of a replica. */
export const incarnationName = (job: string, replica: ReplicaId, generation: number): string =>
  `${job}-${replicaName(replica)}-g${generation}`;

/** `demo-prefill-0-g1-r1`: the Ray name of the actor of one rank of a gang. Rank 0 bears the replica's own name. */
export const rankName = (
  job: string,
  replica: ReplicaId,
  generation: number,
  rank: number,
): string => `${incarnationName(job, replica, generation)}${rank === 0 ? "" : `-r${rank}`}`;

/** `demo-proxy-g1`: the Ray name of one generation of the proxy's actor. */
export const proxyName = (job: string, generation: number): string => `${job}-proxy-g${generation}`;

/** The file that takes an engine's or the proxy's output, on its node; `name` is its actor's. */
export const logPath = (workingDir: string, name: string): string =>
  `${workingDir}/.pdjob/logs/${name}.log`;

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
  const [, job, role, index, generation, rank] = match;
  return {
    job: job ?? "",
    role: role as Role,
    index: Number(index),
    generation: Number(generation),
    rank: Number(rank ?? 0),
  };
}
