import type { Bundle, Endpoint } from "./spec.ts";
import type { Role } from "./role.ts";

/**
 * What the agent reports of one job (verb `list`). Everything here is read from Ray and from the actors at
 * that moment; nothing is remembered by us. Times are Unix milliseconds of the node that reports them.
 */
export interface Observed {
  /** Ray's session name: another one means that the cluster was restarted empty. */
  readonly session: string;
  readonly placementGroups: readonly ObservedPlacementGroup[];
  readonly replicas: readonly ObservedReplica[];
  readonly proxies: readonly ObservedProxy[];
  /** Ranks above 0 of replicas that span nodes. */
  readonly followers?: readonly ObservedFollower[];
  /** The inventory, by which a replica is placed. */
  readonly nodes?: readonly ObservedNode[];
  /** Named placement groups of everybody else that hold resources now; given with the inventory. */
  readonly groupsOfOthers?: readonly OtherGroup[];
}

/** What a placement group of somebody else holds, over all its bundles. */
export interface OtherGroup {
  readonly name: string;
  readonly GPU: number;
  readonly CPU: number;
}

export interface ObservedNode {
  readonly ip: string;
  readonly alive: boolean;
  readonly total: Readonly<Record<"GPU" | "CPU", number>>;
  readonly available: Readonly<Record<"GPU" | "CPU", number>>;
}

export interface ObservedPlacementGroup {
  readonly name: string;
  readonly state: "PENDING" | "CREATED" | "RESCHEDULING";
  /** Ray's own word for why it is pending: NO_RESOURCES = fits but busy, INFEASIBLE = can never fit. */
  readonly schedulingState?: string;
  /** One entry a bundle, in order; empty until created. */
  readonly nodeIps: readonly string[];
  /** What was asked for, in order: one bundle for each rank, so more than one for a gang. */
  readonly bundles?: readonly Bundle[];
}

/**
 * idle: the actor lives, no engine was started · starting: engine runs, /health refused so far ·
 * healthy: last probe 200 · unhealthy: was healthy, then `health.failures` probes in a row failed, or
 * its engine core stood still ·
 * exited: the engine process ended · lost: the actor exists by name but did not answer.
 */
export type EngineState = "idle" | "starting" | "healthy" | "unhealthy" | "exited" | "lost";

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly atMs: number;
}

export interface ObservedReplica {
  /** Incarnation name, `job-role-index-gN`. */
  readonly name: string;
  readonly role: Role;
  readonly index: number;
  readonly generation: number;
  /** Given for the followers of a gang only. */
  readonly rank?: number;
  readonly state: EngineState;
  /** Absent when lost, and when the actor could not get its ports: then it is `exited`, and `logTail` says why. */
  readonly endpoint?: Endpoint;
  readonly nodeId?: string;
  readonly pid?: number;
  readonly startedAtMs?: number;
  readonly specHash?: string;
  /** Those of the role when this engine was started; absent when it was started by an earlier version. */
  readonly revision?: string;
  readonly kvRevision?: string;
  readonly exit?: ProcessExit;
  /** Unhealthy, because its engine core has stood still for that many seconds: /health is answered all the same. */
  readonly stalledS?: number;
  /** Last lines of the engine's output; set when it exited or turned unhealthy. */
  readonly logTail?: string;
}

/**
 * A rank above 0 of a replica that spans nodes: an actor and its processes. Nobody asks it over HTTP, so it is `healthy`
 * as long as its process lives.
 */
export interface ObservedFollower extends ObservedReplica {
  readonly rank: number;
}

/** One entry of the proxy's membership. `url` is `http://host:port`. */
export interface Member {
  /** Incarnation name. */
  readonly name: string;
  readonly role: Role;
  readonly url: string;
  /** Its other ports, by name; text where a plan does not know them yet. */
  readonly ports?: Readonly<Record<string, number | string>>;
  /** Numbers of the pairings that it belongs to: it is paired with a member that shares one. Absent = with anybody. */
  readonly pairings?: readonly number[];
}

export interface Membership {
  readonly generation: number;
  readonly members: readonly Member[];
  /** The job stops: nobody joins any more. Only ever told to the built-in proxy, never observed. */
  readonly closing?: true;
}

export interface ObservedProxy {
  /** `job-proxy-gN`. */
  readonly name: string;
  readonly generation: number;
  readonly state: EngineState;
  readonly host?: string;
  readonly port?: number;
  readonly pid?: number;
  readonly specHash?: string;
  /** What it was told: acknowledged by the built-in proxy, remembered by the owner of one told by HTTP or file. */
  readonly membership?: Membership;
  /** Of the processes that its actor has started, which one; absent for the first. */
  readonly run?: number;
  /** Clients' connections that are left, once it takes no new ones: a newer generation does. */
  readonly leaving?: number;
  /** Requests in flight by incarnation name, removed members included while they still have streams. */
  readonly inFlight?: Readonly<Record<string, number>>;
  readonly exit?: ProcessExit;
  readonly logTail?: string;
}
