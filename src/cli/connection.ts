import type { Command } from "commander";
import { connect } from "../client.ts";
import type { PdjobClient } from "../client.ts";
import { readDevState } from "../dev/state-file.ts";
import { defaultTaskQueue } from "../domain/names.ts";
import { connectAgent } from "../ray/agent.ts";
import type { Agent } from "../ray/agent.ts";
import { Exit } from "./exit.ts";

const defaultAddress = "127.0.0.1:7233";

export interface ConnectionFlags {
  readonly address?: string;
  readonly namespace?: string;
  readonly profile?: string;
  readonly taskQueue?: string;
  readonly rayAddress?: string;
}

/** Adds the flags that say where Temporal is. */
export const withConnection = (command: Command): Command =>
  command
    .option(
      "--address <host:port>",
      "Temporal server (default: TEMPORAL_ADDRESS, the temporal CLI's config file, a running `dev` stack, 127.0.0.1:7233)",
    )
    .option("--namespace <name>", "Temporal namespace")
    .option("--profile <name>", "profile of the temporal CLI's config file")
    .option("--task-queue <name>", `task queue of the workers (default: ${defaultTaskQueue})`);

/** Adds the flag that says where Ray is. */
export const withRay = (command: Command): Command =>
  command.option(
    "--ray-address <host:port>",
    "Ray cluster's GCS (default: RAY_ADDRESS, a running `dev` stack)",
  );

/** Runs `work` with a connection that is closed afterwards. Flags win over environment, environment over a `dev` stack. */
export async function withClient<T>(
  flags: ConnectionFlags,
  work: (client: PdjobClient) => Promise<T>,
): Promise<T> {
  const state = readDevState();
  const { address, namespace, profile, taskQueue } = flags;
  const client = await connect({
    ...(address ? { address } : {}),
    ...(namespace ? { namespace } : {}),
    ...(profile ? { profile } : {}),
    taskQueue: taskQueue ?? state?.taskQueue ?? defaultTaskQueue,
    fallbackAddress: state?.temporalAddress ?? defaultAddress,
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** The cluster to ask, never a guess. */
export function rayAddressOf({ rayAddress }: ConnectionFlags): string {
  const address = rayAddress ?? process.env["RAY_ADDRESS"] ?? readDevState()?.rayAddress;
  if (address && address !== "auto") return address;
  throw new Exit(
    2,
    'Which Ray cluster? Give --ray-address HOST:PORT or set RAY_ADDRESS (never "auto": it may find another cluster).',
  );
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

/** The Web UI's page of a job, when we know a UI. */
export function uiUrlOf(job: string, namespace: string): string | undefined {
  const state = readDevState();
  return state && `${state.uiUrl}/namespaces/${namespace}/workflows/pdjob-${job}`;
}
