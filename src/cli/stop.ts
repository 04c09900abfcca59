import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import { ClientError } from "../client/client-error.ts";
import { stopLimitS } from "../plan/wait-limit.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { abandonment, isAbandoned, isOver } from "./follow.ts";
import { print } from "./output.ts";
import { waitFor, withTimeout } from "./wait.ts";
import type { WaitFlags } from "./wait.ts";

export function addStop(program: Command): void {
  withTimeout(withConnection(program.command("stop")), "what the config allows a drain and an end")
    .description("drain a job, then stop its proxy and engines and release its GPUs")
    .argument("<job>", "the job's name")
    .option("--detach", "return as soon as the wish is recorded")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client stop quickstart\n  pdjob-client stop quickstart --timeout 900\n  pdjob-client stop quickstart --detach",
    )
    .action(async (job: string, flags: ConnectionFlags & WaitFlags & { detach?: boolean }) => {
      await withClient(flags, async (client) => {
        if (!(await askToStop(client, job))) return;
        if (flags.detach) return print(`${job}: stopping`);
        const released = async (): Promise<void> => void (await client.result(job));
        await waitFor(
          {
            client,
            job,
            until: ({ phase }) => isOver(phase),
            goal: "stopped",
            timeoutS: flags.timeout,
            limitOf: stopLimitS,
          },
          released,
        );
        print(`${job}: stopped; its GPUs are free`);
      });
    });
}

/**
 * False when it has ended before: what is wanted is so, and a script may ask twice. A job that was terminated is not stopped
 * by anything that looks after it, and may serve still.
 */
export async function askToStop(client: PdjobClient, job: string): Promise<boolean> {
  try {
    await client.stop(job);
    return true;
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "JobEnded") throw error;
    const execution = await client.look(job);
    if (isAbandoned(execution)) throw new Exit(1, abandonment(job, execution));
    print(error.message);
    return false;
  }
}
