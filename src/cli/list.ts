import type { Command } from "commander";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { columns, print, printJson } from "./output.ts";

export function addList(program: Command): void {
  withConnection(program.command("list"))
    .description("list the jobs that the server knows")
    .option("--json", "print them as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client list\n  pdjob-client list --json | jq -r '.[].job'",
    )
    .action(async (flags: ConnectionFlags & { json?: boolean }) => {
      const jobs = await withClient(flags, (client) => client.list());
      if (flags.json) return printJson(jobs);
      if (jobs.length === 0) return print("no jobs");
      print(
        columns([
          ["JOB", "PHASE", "STARTED", "ENDED"],
          ...jobs.map(({ job, phase, startedAt, closedAt }) => [
            job,
            phase,
            startedAt,
            closedAt ?? "",
          ]),
        ]),
      );
    });
}
