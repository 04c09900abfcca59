import type { Failure } from "./errors.ts";
import type { Role } from "./role.ts";
import type { ScaleLimits } from "./scale.ts";

/**
 * DEPLOYING until READY for the first time; WAITING = needs resources that others hold; UPDATING = replicas make way for
 * those of a newer revision.
 */
export type JobPhase =
  | "DEPLOYING"
  | "WAITING"
  | "READY"
  | "SCALING"
  | "UPDATING"
  | "HEALING"
  | "DEGRADED"
  | "STOPPING"
  | "STOPPED"
  | "FAILED";

export type ReplicaPhase =
  | "WAITING"
  | "RESERVING"
  | "STARTING"
  | "READY"
  | "UNHEALTHY"
  | "DRAINING"
  | "STOPPING"
  | "DOWN";

export interface ReplicaStatus {
  /** `prefill-0`. */
  readonly name: string;
  readonly role: Role;
  readonly index: number;
  readonly generation: number;
  readonly phase: ReplicaPhase;
  /** It runs what an earlier revision of the job asked for. */
  readonly outdated?: true;
  readonly url?: string;
  /** The nodes of a gang, rank by rank; absent for a replica on one node. */
  readonly nodeIps?: readonly string[];
  /** Requests in flight through the built-in proxy. */
  readonly inFlight?: number;
  /** Why it is not READY, in one sentence. */
  readonly note?: string;
  /** The same with the last lines of its log, while it is UNHEALTHY or DOWN. */
  readonly failure?: Failure;
}

export interface ProxyStatus {
  readonly phase: "PENDING" | "STARTING" | "READY" | "DOWN";
  readonly builtin: boolean;
  readonly generation?: number;
  readonly url?: string;
  readonly membershipGeneration?: number;
  /** No prefill replica serves, and the policy is that decode replicas compute prompts themselves. */
  readonly degraded?: "decode-local";
  readonly note?: string;
  readonly failure?: Failure;
}

/** Where a generation of an engine or of the proxy writes its output: a file that outlives process, actor and job. */
export interface LogPlace {
  /** `prefill-0`, or `proxy`. */
  readonly name: string;
  readonly generation: number;
  readonly host: string;
  readonly path: string;
}

/** Something that happened, newest last; a bounded ring. */
export interface JobEvent {
  readonly atMs: number;
  readonly text: string;
}

/** The answer of the query `status`, and what `pdjob-client status --json` prints. */
export interface JobStatus {
  readonly job: string;
  readonly phase: JobPhase;
  readonly reason: string;
  readonly desired: Readonly<Record<Role, number>>;
  /** Absent from the answer of a worker that is older than this. */
  readonly limits?: ScaleLimits;
  /** Number of the config that is wanted: 1 at the start, one more by each change that was applied. */
  readonly revision?: number;
  /** The newest with which the job was READY: what `abort` goes back to when it is not the one that is wanted. */
  readonly settledRevision?: number;
  /** Bumped by every accepted change; READY is said of the newest only. */
  readonly desiredGeneration: number;
  readonly ready: Readonly<Record<Role, number>>;
  readonly replicas: readonly ReplicaStatus[];
  readonly proxy: ProxyStatus;
  /** Keys of the actions being performed now. */
  readonly inFlight: readonly string[];
  readonly events: readonly JobEvent[];
  /** Of what was started lately, newest last; bounded. A worker of an earlier version does not tell. */
  readonly logs?: readonly LogPlace[];
  readonly failure?: Failure;
}
