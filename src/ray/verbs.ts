import type { CanaryHandOver } from "../domain/canary.ts";
import type { Telling } from "../domain/membership.ts";
import type { Membership } from "../domain/observed.ts";
import type { Bundle, PortRequest, Strategy } from "../domain/spec.ts";

/** Arguments of each verb of docs/agent-protocol.md. */
export interface VerbArgs {
  readonly ping: Record<string, never>;
  readonly nodes: Record<string, never>;
  /** Asks an engine's command for its version on a node; reserves nothing there. */
  readonly probeEngine: {
    readonly nodeId: string;
    readonly argv: readonly string[];
    /** Whose metadata tells the same, and at once, where the command is an installed script. */
    readonly package: string;
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly timeoutS: number;
  };
  readonly ensurePlacementGroup: {
    readonly name: string;
    readonly bundles: readonly Bundle[];
    readonly strategy?: Strategy;
    /** Of what an older generation left behind; default 5 s. */
    readonly graceS?: number;
    /** It was there when this was asked before: nothing is changed when it is gone. */
    readonly mustExist?: boolean;
  };
  readonly removePlacementGroup: { readonly name: string };
  readonly ensureReplica: {
    readonly name: string;
    readonly placementGroup: string;
    /** Index of the bundle whose resources the actor takes; default 0. */
    readonly bundle?: number;
    readonly gpus: number;
    readonly cpus: number;
    readonly ports: readonly PortRequest[];
    readonly leaseS: number;
    readonly graceS?: number;
    /** Of `upload`: the actor's engine then runs in these files. */
    readonly package?: string;
  };
  readonly startEngine: {
    readonly name: string;
    readonly argv: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly specHash: string;
    /** What the actor says of its engine from then on, as it is. */
    readonly labels?: { readonly revision?: string; readonly kvRevision?: string };
    /** Absent for a process that nobody asks over HTTP: it is healthy as long as it lives. */
    readonly probe?: {
      readonly path: string;
      readonly intervalS: number;
      readonly timeoutS: number;
      /** Failures in a row, after it was healthy once, that make it unhealthy. Default 3. */
      readonly failures?: number;
      /** When its engine core counts as hanging; absent = never. Without `ask` no request is sent to find out. */
      readonly stall?: {
        readonly afterS: number;
        readonly ask?: { readonly model?: string; readonly key?: string };
      };
    };
    /** Written below `cwd` before the engine starts. */
    readonly files?: readonly { readonly path: string; readonly text: string }[];
    /** Folders below `cwd` whose contents are removed before that. */
    readonly emptied?: readonly string[];
  };
  readonly replicaStatus: { readonly name: string };
  /** A request through two engines, sent from the node of the decode replica `name`. */
  readonly canary: {
    readonly name: string;
    readonly prefill: { readonly url: string; readonly key?: string };
    readonly decode: { readonly url: string; readonly key?: string };
    readonly handOver: CanaryHandOver;
    /** Both engines must list it. */
    readonly model?: string;
    /** For all of it. */
    readonly timeoutS: number;
  };
  readonly stopReplica: { readonly name: string; readonly graceS: number };
  readonly ensureProxy: {
    readonly name: string;
    readonly argv: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly host: string;
    readonly port: number;
    readonly builtin: boolean;
    readonly files: readonly { readonly path: string; readonly text: string }[];
    readonly specHash: string;
    readonly leaseS: number;
    readonly startTimeoutS: number;
    /** Seconds of `startTimeoutS` that earlier calls have waited; default 0. */
    readonly elapsedS?: number;
    readonly graceS?: number;
    /** As of a placement group. */
    readonly mustExist?: boolean;
    /** What the proxy knows once it has started; absent for an external one that is not told while it runs. */
    readonly membership?: Membership;
    /** Of the processes that its actor starts one after the other, which one is wanted; default 1. */
    readonly run?: number;
    readonly telling?: Telling;
    /** Of `upload`: the proxy then runs in these files. */
    readonly package?: string;
  };
  readonly setMembership: {
    readonly name: string;
    readonly membership: Membership;
    readonly telling?: Telling;
  };
  readonly engineLoad: { readonly name: string };
  /** The built-in proxy alone: it takes no more connections, since a newer generation does. */
  readonly retireProxy: { readonly name: string };
  readonly stopProxy: { readonly name: string; readonly graceS: number };
  readonly list: {
    readonly job: string;
    readonly leaseS?: number;
    /** Ask for the inventory as well. */
    readonly nodes?: boolean;
  };
  readonly jobs: Record<string, never>;
  readonly logs: { readonly name: string; readonly offset?: number; readonly maxBytes: number };
  readonly logFile: {
    readonly name: string;
    readonly workingDir: string;
    /** Address of the node on which it was written; without it, every node is looked at. */
    readonly host?: string;
    readonly offset?: number;
    readonly maxBytes: number;
  };
  /** The port of a built-in proxy. */
  readonly checkHead: { readonly port: number };
  readonly upload: {
    readonly directory: string;
    /** That package and no other. */
    readonly package?: string;
  };
  readonly sweep: {
    readonly job: string;
    readonly dryRun: boolean;
    /** The job's, whose KV below them goes too; absent = none. */
    readonly workingDirs?: readonly string[];
  };
}

export interface CallOptions {
  /** Default: the verb's own worst case. The call then fails with AgentUnreachable; the verb may or may not have happened. */
  readonly timeoutMs?: number;
  /** A read fails at once when this aborts, a change only when it is over: the agent cannot take back what it has begun. */
  readonly signal?: AbortSignal;
}
