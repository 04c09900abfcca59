import type { Command } from "commander";
import { withRevisions } from "../client/revisions.ts";
import { applyProblem } from "../domain/apply.ts";
import { changesBetween, consequencesOf } from "../plan/changes.ts";
import { followRevision, printChanges, runningSpec } from "./changes.ts";
import { requireSpec } from "./config-file.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { withName } from "./name-flag.ts";
import type { NameFlag } from "./name-flag.ts";
import { print, printJson } from "./output.ts";

interface ApplyFlags extends ConnectionFlags, NameFlag {
  readonly dryRun?: boolean;
  readonly allowOutage?: boolean;
  readonly detach?: boolean;
  readonly json?: boolean;
}

export function addApply(program: Command): void {
  withName(withConnection(program.command("apply")))
    .description("change a running job to another config: what differs, then replica by replica")
    .argument("<config>", "YAML file, or - for standard input")
    .option("--dry-run", "only show what differs and what it costs")
    .option("--allow-outage", "let nothing serve for a while where no replica can be spared")
    .option("--detach", "return as soon as the change is accepted")
    .option(
      "--json",
      "print {job, revision, changes, consequences} as JSON, or {ok: false, issues}; do not follow",
    )
    .addHelpText(
      "after",
      "\nEngines that change are replaced one by one while the others serve; when the new ones do not run, the job goes back by itself.\nCtrl-C stops following; the update goes on.\n\nExamples:\n  pdjob-client apply job.yaml --dry-run\n  pdjob-client apply job.yaml\n  pdjob-client pause quickstart && pdjob-client undo quickstart",
    )
    .action(async (file: string, flags: ApplyFlags) => {
      const named = flags.name === undefined ? {} : { name: flags.name };
      const after = withRevisions(requireSpec(file, { ...named, json: flags.json }));
      await withClient(flags, async (client) => {
        const job = after.name;
        const { spec: before, desired, revisions } = await runningSpec(client, job);
        const changes = changesBetween(before, after);
        const consequences = consequencesOf(before, after, desired);
        const now = revisions.at(-1)?.number;
        const outage = flags.allowOutage ? ({ outage: true } as const) : {};
        if (!flags.json && changes.length > 0) printChanges(changes, consequences);
        if (changes.length === 0 && !flags.json) return print(`${job}: nothing differs`);
        if (flags.dryRun) {
          const problem = applyProblem(
            { spec: after, ...outage },
            { spec: before, desired: { replicas: desired } },
          );
          if (flags.json) printJson({ job, revision: now, changes, consequences, problem });
          if (problem) throw new Exit(1, `This would be refused: ${problem}`);
          return;
        }
        const { revision } = await client.apply(after, outage);
        if (flags.json) return printJson({ job, revision, changes, consequences });
        print(`${job}: revision ${revision} is wanted`);
        if (!flags.detach) await followRevision(client, job, revision);
      });
    });
}
