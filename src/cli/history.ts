import type { Command } from "commander";
import { changesBetween } from "../plan/changes.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { columns, print, printJson } from "./output.ts";

/** Changed keys named in a line of the list; all of them are in the JSON. */
const changesShown = 3;

export function addHistory(program: Command): void {
  withConnection(program.command("history"))
    .description("list the configs that a job had lately, and how each came about")
    .argument("<job>", "the job's name")
    .option("--json", "print them as JSON, specs and changes included")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client history quickstart\n  pdjob-client history quickstart --json | jq '.[-1].changes'",
    )
    .action(async (job: string, flags: ConnectionFlags & { readonly json?: boolean }) => {
      const revisions = await withClient(flags, (client) => client.revisions(job));
      const told = revisions.map((one, index) => {
        const before = revisions[index - 1];
        return { ...one, changes: before ? changesBetween(before.spec, one.spec) : [] };
      });
      if (flags.json) return printJson(told);
      print(
        columns([
          ["REVISION", "SINCE", "WHY", "CHANGED"],
          ...told.map(({ number, atMs, why, changes }) => [
            String(number),
            new Date(atMs).toISOString(),
            why,
            summaryOf(changes.map(({ path }) => path)),
          ]),
        ]),
      );
    });
}

function summaryOf(paths: readonly string[]): string {
  const more = paths.length - changesShown;
  return `${paths.slice(0, changesShown).join(", ")}${more > 0 ? `, … ${more} more` : ""}`;
}
