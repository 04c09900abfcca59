import type { Command } from "commander";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { positive } from "./numbers.ts";
import { columns, print, printJson, warn } from "./output.ts";

const limitDefault = 50;

export function addList(program: Command): void {
  withConnection(program.command("list"))
    .description("list the jobs that the server knows")
    .option(
      "--limit <n>",
      "at most so many; jobs that run come first",
      positive("--limit"),
      limitDefault,
    )
    .option("--json", "print them as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client list\n  pdjob-client list --json | jq -r '.[].job'",
    )
    .action(async (flags: ConnectionFlags & { json?: boolean; limit: number }) => {
      const { jobs, isCut } = await withClient(flags, (client) => client.list(flags.limit));
      if (isCut) warn(`There are more than these ${jobs.length} jobs: see --limit.`);
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
