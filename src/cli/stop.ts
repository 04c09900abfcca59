import type { Command } from "commander";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { follow, isOver } from "./follow.ts";
import { print } from "./output.ts";

export function addStop(program: Command): void {
  withConnection(program.command("stop"))
    .description("drain a job, then stop its proxy and engines and release its GPUs")
    .argument("<job>", "the job's name")
    .option("--detach", "return as soon as the wish is recorded")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client stop quickstart\n  pdjob-client stop quickstart --detach",
    )
    .action(async (job: string, flags: ConnectionFlags & { detach?: boolean }) => {
      await withClient(flags, async (client) => {
        await client.stop(job);
        if (flags.detach) return print(`${job}: stopping`);
        await follow({ client, job, until: ({ phase }) => isOver(phase) });
        await client.result(job);
        print(`${job}: stopped; its GPUs are free`);
      });
    });
}
