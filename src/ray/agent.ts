import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createChannel } from "./channel.ts";
import type { Verb, VerbResult } from "./contract.ts";
import type { CallOptions, VerbArgs } from "./verbs.ts";

export interface AgentOptions {
  /** `host:port` of the Ray cluster's GCS. Never `auto`: that may join somebody else's cluster. */
  readonly rayAddress: string;
  /** Python that has the cluster's Ray version. Default: see `findPython`. */
  readonly python?: string;
  /** Receives each line that the agent or Ray writes beside the protocol. */
  readonly onLog?: (line: string) => void;
}

/** The cluster, as far as we may touch it. Every call is idempotent, so every call may be repeated. */
export interface Agent {
  call<V extends Verb>(verb: V, args: VerbArgs[V], options?: CallOptions): Promise<VerbResult<V>>;
  /** Ends the agent process. Nothing in Ray is touched. */
  close(): Promise<void>;
}

/** Starts the agent on the first call, and again whenever it has died. Fails with AgentUnreachable, RayUnreachable or AuthDenied. */
export function connectAgent(options: AgentOptions): Agent {
  const channel = createChannel({ ...options, python: options.python ?? findPython(), agentPath });
  return {
    call: (verb, args, callOptions) => channel.call(verb, args, callOptions),
    close: () => channel.close(),
  };
}

/** `auto` may find somebody else's cluster, so it is as good as none. */
export const isClusterAddress = (address: string | undefined): address is string =>
  Boolean(address) && address !== "auto";

export const whichCluster =
  'Which Ray cluster? Give --ray-address HOST:PORT or set RAY_ADDRESS (never "auto": it may find another cluster).';

const projectRoot = new URL("../../", import.meta.url);
export const agentPath = fileURLToPath(new URL("agent", projectRoot));

/** `PDJOB_PYTHON`, else the project's own environment, else whatever `python3` is. */
export function findPython(): string {
  const own = fileURLToPath(new URL(".venv/bin/python", projectRoot));
  return process.env["PDJOB_PYTHON"] ?? (existsSync(own) ? own : "python3");
}
