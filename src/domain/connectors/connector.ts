import type { Role } from "../role.ts";
import type { Releases } from "./version.ts";

/**
 * How a prompt's KV gets from the prefill engine to the decode engine, as far as a proxy has to know:
 * params: prefill answers with kv_transfer_params, which decode is then given ·
 * store: prefill leaves it where decode finds it by the prompt; nothing is handed over ·
 * concurrent: both engines are asked at once, with ids that the proxy makes up ·
 * registering: engines report to the proxy, and their addresses are written into the request's id ·
 * notifying: the prefill engine tells the proxy when decode may begin.
 */
export type HandOver = "params" | "store" | "concurrent" | "registering" | "notifying";

/**
 * What a replica is given beyond what the user wrote. Values hold placeholders; a port's span may be a product of `DP`,
 * `TP` and `PP`, the replica's own sizes. A key that the user has set stays as the user set it.
 */
export interface Need extends Releases {
  /** Absent = both. */
  readonly role?: Role;
  /** Only where this connector is the one that hands KV over, not where it is a cache beside another. */
  readonly handsOver?: true;
  readonly env?: Readonly<Record<string, string>>;
  /** Keys of KVTransferConfig itself. */
  readonly config?: Readonly<Record<string, string>>;
  /** Goes to the outermost KVTransferConfig: MultiConnector gives its own to its children, which must not bring another. */
  readonly engineId?: string;
  /** Keys of kv_connector_extra_config. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Written for each start of a replica, before the engine starts. */
  readonly file?: NeededFile;
  /** A folder below the working directory that a job's first engine finds empty, unless that key of `extra` is the user's. */
  readonly fresh?: { readonly folder: string; readonly unless: string };
}

export interface NeededFile {
  /** Variable that tells the engine where the file is. A user who sets it brings a file of one's own. */
  readonly variable: string;
  readonly name: string;
  /** With placeholders; `{NAME}` of `settings` is the user's variable of that name, or else the value given here. */
  readonly text: string;
  /** One without a value must be set by the user. */
  readonly settings: Readonly<Record<string, string | undefined>>;
}

/** What must be the same in both roles, or KV of one is of no use to the other. */
export type Trait =
  | "model"
  | "dtype"
  | "kv_cache_dtype"
  | "block_size"
  | "attention_backend"
  | "speculative_config"
  | "pipeline_parallel_size";

/**
 * How the roles' tensor_parallel_size may relate: any · equal · ratio (one divides the other) · one (exactly 1 in both).
 */
export type TensorParallel = "any" | "equal" | "ratio" | "one";

export interface Connector extends Releases {
  /** In vLLM's spelling. */
  readonly name: string;
  /** What it was called before `since` of that name; the old name is gone then. */
  readonly formerly?: { readonly name: string; readonly until: string };
  readonly about: string;
  /** What to use where the connector is not there any more. */
  readonly instead?: string;
  /** Absent: it moves no KV from prefill to decode by itself. The first that is in the version counts. */
  readonly handOver?: readonly (Releases & { readonly kind: HandOver })[];
  /** Proxies that are known to serve it, besides the built-in one where `handOver` allows that. */
  readonly proxies: readonly string[];
  readonly needs: readonly Need[];
  /** What must be there before the engines start, which pdjob does not start. */
  readonly before: readonly string[];
  readonly order: string;
  /** Keys of kv_connector_extra_config without which it cannot work and which only the user knows. */
  readonly asks: Readonly<Record<string, string>>;
  readonly alike: readonly Trait[];
  /** Decode's block_size may be a multiple of prefill's. */
  readonly blocksMayBeLarger?: true;
  readonly tensorParallel: readonly (Releases & { readonly rule: TensorParallel })[];
  /** Peers remember an engine by its engine_id, so one that comes again under the same id is taken for the old one. */
  readonly remembersEngines: boolean;
  /** How far it was checked here. */
  readonly checked: "run for real" | "checked by rendering only";
}
