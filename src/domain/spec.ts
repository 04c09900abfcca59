import type { ProxyAuth, ProxyLimits } from "./exposure.ts";
import type { Role } from "./role.ts";
import type { DegradedSpec, SelectionSpec } from "./selection.ts";

/** A value of `params`: what YAML can hold. */
export type ParamValue =
  | string
  | number
  | boolean
  | null
  | readonly ParamValue[]
  | { readonly [key: string]: ParamValue };

/** vLLM's KVTransferConfig as the user wrote it (placeholders not yet filled), connector name in vLLM's spelling. */
export type KvTransferConfig = { readonly kv_connector: string } & {
  readonly [key: string]: ParamValue;
};

/** One role after merging: general under role, defaults filled. */
export interface RoleSpec {
  /** GPUs of one replica. 0 means a CPU engine. */
  readonly numGpus: number;
  readonly replicas: number;
  /** Environment of the engine; general under role. Values may be references `env:NAME` or `file:PATH`. */
  readonly envs: Readonly<Record<string, string>>;
  /** Engine parameters in order, general under role, without model, host, port, kv_transfer_config and _extra_params. */
  readonly params: Readonly<Record<string, ParamValue>>;
  /** Positional argument of `vllm serve`; undefined when `engine.command` needs none. */
  readonly model?: string;
  readonly kvTransfer: KvTransferConfig;
  /** Texts by file name, written for each start of a replica; general under role. Absent = none. */
  readonly files?: Readonly<Record<string, string>>;
  /** `_extra_params`, general then role, already split as a shell would. */
  readonly extraArgs: readonly string[];
  /** Names everything that a running engine was started with: another one takes another engine. Filled in by the client. */
  readonly revision?: string;
  /** Names what KV depends on: two engines that differ in it were never meant to hand KV to each other. */
  readonly kvRevision?: string;
}

export type ProxyMembership = "builtin" | "restart" | "http" | "file" | "none";

/** A request about one member, placeholders not yet filled. A `url` that starts with `/` is on the proxy's own port. */
export interface CallSpec {
  readonly method: string;
  readonly url: string;
  /** Values may be references `env:NAME` or `file:PATH`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: ParamValue;
  /** Statuses besides 2xx that mean that it is done. */
  readonly accept: readonly number[];
}

/** An external proxy's admin API. What it cannot do, add or remove, takes a restart of the proxy. */
export interface HttpMembership {
  readonly add?: Readonly<Record<Role, CallSpec>>;
  readonly remove?: Readonly<Record<Role, CallSpec>>;
  /** Names the members that the proxy has. */
  readonly list?: CallSpec;
}

/** A file that an external proxy watches. */
export interface FileMembership {
  /** Relative to the working directory, or absolute. */
  readonly path: string;
  /** Text, or a value that is written as JSON; placeholders not yet filled. Absent = the members as JSON. */
  readonly content?: ParamValue;
}

/** On the head node, for jobs that name no port. */
export const defaultProxyPort = 8021;

/** How clients reach the job. */
export interface SchedulerSpec {
  readonly port: number;
  /** The external proxy's command, split as a shell would, placeholders not yet filled. Absent = built-in proxy. */
  readonly command?: readonly string[];
  readonly membership: ProxyMembership;
  /** Present when `membership` is http. */
  readonly http?: HttpMembership;
  /** Present when `membership` is file. */
  readonly file?: FileMembership;
  /** Of the built-in proxy, where the user says anything of it; absent = `defaultSelection`. */
  readonly selection?: SelectionSpec;
  /** The same; absent = `defaultDegraded`. */
  readonly degraded?: DegradedSpec;
  /** Of the built-in proxy. Absent = `defaultProxyLimits`. */
  readonly limits?: ProxyLimits;
  /** Of the built-in proxy. Absent = whoever reaches it may use it. */
  readonly auth?: ProxyAuth;
}

/** The largest restart budget: the time of each replacement is remembered. */
export const restartsMax = 100;

/** How often a replica may be replaced before the job says DEGRADED. */
export interface RestartBudget {
  readonly restartsMax: number;
  readonly windowS: number;
}

/** How an engine's /health is asked. */
export interface HealthSpec {
  readonly intervalS: number;
  readonly timeoutS: number;
  /** Failed probes in a row that make a healthy engine unhealthy. */
  readonly failures: number;
  /**
   * Seconds that its engine core may stand still before it is asked for a token, and again before it counts as hanging;
   * 0 = for ever. Absent in specs of earlier versions: that of `defaultHealth`.
   */
  readonly stallS?: number;
}

export const defaultHealth = {
  intervalS: 1,
  timeoutS: 3,
  failures: 3,
  stallS: 30,
} as const satisfies HealthSpec;

/** How a change of the engines goes through a role. */
export interface RolloutSpec {
  /** Replicas that may exist beyond the wanted ones, per role, when none of those can be spared. */
  readonly surge: number;
  /** Replicas that may be missing at once, per role; one always serves. */
  readonly unavailable: number;
  /** Generations of one replica that may fail with the new revision before the job goes back to the one before. */
  readonly attempts: number;
}

export const defaultRollout: RolloutSpec = { surge: 1, unavailable: 1, attempts: 2 };

/** A spec of an earlier version, which a running job may have, says nothing of it. */
export const rolloutOf = ({ rollout = defaultRollout }: Pick<JobSpec, "rollout">): RolloutSpec =>
  rollout;

/** What the user asked for, validated, merged and complete. Plain JSON: it travels through Temporal. */
export interface JobSpec {
  readonly name: string;
  /** Seconds within which the job must be READY, and within which a new replica must be healthy. */
  readonly timeoutS: number;
  readonly numGpus: number;
  readonly gpusPerWorker: number;
  /** CPUs reserved for each worker; a replica has max(1, numGpus / gpusPerWorker) workers. 0 reserves none. */
  readonly numCpus: number;
  readonly workingDir: string;
  /** Folder of the worker's machine that becomes the working directory of engines and external proxy on every node. */
  readonly upload?: string;
  /** Environment of the proxy (and, already merged into the roles, of the engines). */
  readonly envs: Readonly<Record<string, string>>;
  /** `engine.command`, split as a shell would. Default `vllm serve`. */
  readonly engineCommand: readonly string[];
  /** `engine.version`: the engines' vLLM as the user says, for where they cannot tell it themselves. */
  readonly engineVersion?: string;
  readonly scheduler: SchedulerSpec;
  readonly roles: Readonly<Record<Role, RoleSpec>>;
  readonly restart: RestartBudget;
  /** Absent in specs of earlier versions: read it with `rolloutOf`. */
  readonly rollout?: RolloutSpec;
  /** Absent in specs of earlier versions: `defaultHealth`. */
  readonly health?: HealthSpec;
  /** Absent = true: a replica serves once a request went through it and a partner. */
  readonly canary?: boolean;
  /** Seconds that a drain may wait for in-flight requests, per role. */
  readonly drainS: Readonly<Record<Role, number>>;
  /** Seconds without a request after which an engine counts as drained behind a proxy that does not count requests. */
  readonly drainQuietS?: number;
  /** Seconds from SIGTERM to SIGKILL when an engine or proxy is stopped. */
  readonly stopGraceS: number;
  /** Seconds without an orchestrator after which engines stop themselves; 0 = never. */
  readonly leaseS: number;
}

/** What one placement group bundle reserves. */
export interface Bundle {
  readonly GPU?: number;
  readonly CPU?: number;
}

/** How Ray may spread a group's bundles over nodes: all on one, each on another, or each on another as far as it can. */
export type Strategy = "STRICT_PACK" | "STRICT_SPREAD" | "SPREAD";

/** Where a replica answers. Ports by name: `http` always, others as the spec's placeholders and connector need. */
export interface Endpoint {
  readonly host: string;
  readonly ports: Readonly<Record<string, number>>;
}

/** A contiguous run of ports that a replica needs: `span` ports from the one reported under `name`. */
export interface PortRequest {
  readonly name: string;
  readonly span: number;
}
