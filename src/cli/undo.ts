import type { Command } from "commander";
import { changesBetween, consequencesOf } from "../plan/changes.ts";
import { followRevision, printChanges, revisionNamed, runningSpec } from "./changes.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { positive } from "./numbers.ts";
import { print } from "./output.ts";

interface UndoFlags extends ConnectionFlags {
  readonly to?: number;
  readonly allowOutage?: boolean;
  readonly detach?: boolean;
}

export function addUndo(program: Command): void {
  withConnection(program.command("undo"))
    .description("go back to an earlier config of a job, an update under way included")
    .argument("<job>", "the job's name")
    .option(
      "--to <revision>",
      "its number in `history`; default: the one before the newest",
      positive("--to"),
    )
    .option("--allow-outage", "let nothing serve for a while where no replica can be spared")
    .option("--detach", "return as soon as the change is accepted")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client undo quickstart\n  pdjob-client history quickstart && pdjob-client undo quickstart --to 1",
    )
    .action(async (job: string, flags: UndoFlags) => {
      await withClient(flags, async (client) => {
        const { revisions, spec, desired } = await runningSpec(client, job);
        const target = revisionNamed(job, revisions, flags.to);
        printChanges(changesBetween(spec, target.spec), consequencesOf(spec, target.spec, desired));
        const outage = flags.allowOutage ? ({ outage: true } as const) : {};
        const { revision } = await client.undo(job, { to: target.number, ...outage });
        print(`${job}: revision ${revision}, as ${target.number} was, is wanted`);
        if (!flags.detach) await followRevision(client, job, revision);
      });
    });
}
