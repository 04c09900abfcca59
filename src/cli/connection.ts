import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import { findServer, plainServer } from "../client/server.ts";
import type { Server } from "../client/server.ts";
import { defaultStateDir, readDevState } from "../dev/state-file.ts";
import type { DevState } from "../dev/state-file.ts";
import { defaultTaskQueue, workflowIdOf } from "../domain/names.ts";
import { connectAgent, isClusterAddress, whichCluster } from "../ray/agent.ts";
import type { Agent } from "../ray/agent.ts";
import { Exit } from "./exit.ts";

export interface ConnectionFlags {
  readonly address?: string;
  readonly namespace?: string;
  readonly profile?: string;
  readonly taskQueue?: string;
  readonly rayAddress?: string;
  readonly stateDir?: string;
}

/** Adds the flags that say where Temporal is. */
export const withConnection = (command: Command): Command =>
  withStack(command)
    .option(
      "--address <host:port>",
      "Temporal server (default: TEMPORAL_ADDRESS, the temporal CLI's config file, a running `dev` stack, 127.0.0.1:7233)",
    )
    .option("--namespace <name>", "Temporal namespace")
    .option("--profile <name>", "profile of the temporal CLI's config file")
    .option("--task-queue <name>", `task queue of the workers (default: ${defaultTaskQueue})`);

/** Adds the flag that says where Ray is. */
export const withRay = (command: Command): Command =>
  withStack(command).option(
    "--ray-address <host:port>",
    "Ray cluster's GCS (default: RAY_ADDRESS, a running `dev` stack)",
  );

const withStack = (command: Command): Command =>
  command.options.some(({ long }) => long === "--state-dir")
    ? command
    : command.option(
        "--state-dir <dir>",
        "use the `dev` stack that was started with this folder (default: PDJOB_STATE_DIR)",
      );

/** Runs `work` with a connection that is closed afterwards. The SDK is half of our start-up time, so only then loaded. */
export async function withClient<T>(
  flags: ConnectionFlags,
  work: (client: PdjobClient) => Promise<T>,
): Promise<T> {
  const state = stackOf(flags);
  const server = serverOf(flags, state);
  const ofStack = isOf(server.address, state) ? state?.taskQueue : undefined;
  const { connect } = await import("../client.ts");
  const client = await connect({
    server,
    taskQueue: flags.taskQueue ?? ofStack ?? defaultTaskQueue,
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** The server that a verb with these flags speaks to. */
export const serverFor = (flags: ConnectionFlags): Server => serverOf(flags, stackOf(flags));

/**
 * Flags win over a stack that was named, that over the environment and the profile, and those over a stack that happens to
 * run. The stack is spoken to plainly, whatever keys the profile holds for the user's own server.
 */
export function serverOf(
  { address, namespace, profile, stateDir }: ConnectionFlags,
  state: DevState | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Server {
  const ofStack = state && plainServer(state.temporalAddress, namespace ?? state.namespace);
  const isNamed = stateDir !== undefined && address === undefined && profile === undefined;
  if (ofStack && (isNamed || address === ofStack.address)) return ofStack;
  const found = findServer({ address, namespace, profile }, env);
  const isNowhere = found.isDefault && profile === undefined;
  return ofStack && (isNowhere || found.address === ofStack.address) ? ofStack : found;
}

/** The embedded stack that runs, if any. One that was named must run. */
function stackOf({ stateDir }: ConnectionFlags): DevState | undefined {
  const state = readDevState(stateDir ?? defaultStateDir());
  if (state || stateDir === undefined) return state;
  throw new Exit(
    3,
    `No embedded stack runs with --state-dir ${stateDir}. Start one: pdjob-client dev --state-dir ${stateDir}`,
  );
}

const isOf = (address: string, state: DevState | undefined): boolean =>
  state?.temporalAddress === address;

/** The cluster to ask, never a guess. */
export function rayAddressOf(flags: ConnectionFlags): string {
  const ofStack = stackOf(flags)?.rayAddress;
  const fromEnv = process.env["RAY_ADDRESS"] || undefined;
  const found = flags.stateDir === undefined ? (fromEnv ?? ofStack) : ofStack;
  const address = flags.rayAddress ?? found;
  if (isClusterAddress(address)) return address;
  throw new Exit(2, whichCluster);
}

export async function withAgent<T>(
  flags: ConnectionFlags,
  work: (agent: Agent) => Promise<T>,
): Promise<T> {
  const agent = connectAgent({ rayAddress: rayAddressOf(flags) });
  try {
    return await work(agent);
  } finally {
    await agent.close();
  }
}

/** The Web UI's page of a job, when we know the UI of the server that was asked. */
export function uiUrlOf(
  job: string,
  { address, namespace }: Pick<PdjobClient, "address" | "namespace">,
  { stateDir }: ConnectionFlags,
): string | undefined {
  const state = readDevState(stateDir ?? defaultStateDir());
  if (!state || !isOf(address, state)) return undefined;
  return `${state.uiUrl}/namespaces/${namespace}/workflows/${workflowIdOf(job)}`;
}
