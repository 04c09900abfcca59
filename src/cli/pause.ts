import type { Command } from "commander";
import { followRevision } from "./changes.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { print } from "./output.ts";

export function addPause(program: Command): void {
  withConnection(program.command("pause"))
    .description("stop an update where it is; replicas that are already being replaced go on")
    .argument("<job>", "the job's name")
    .addHelpText("after", "\nExamples:\n  pdjob-client pause quickstart")
    .action(async (job: string, flags: ConnectionFlags) => {
      await withClient(flags, (client) => client.pause(job, true));
      print(`${job}: the update is paused; go on with resume, or go back with abort`);
    });
}

export function addResume(program: Command): void {
  withConnection(program.command("resume"))
    .description("let a paused update go on, and follow it")
    .argument("<job>", "the job's name")
    .option("--detach", "return at once")
    .addHelpText("after", "\nExamples:\n  pdjob-client resume quickstart")
    .action(async (job: string, flags: ConnectionFlags & { readonly detach?: boolean }) => {
      await withClient(flags, async (client) => {
        await client.pause(job, false);
        const { revision = 1 } = await client.status(job);
        print(`${job}: the update to revision ${revision} goes on`);
        if (!flags.detach) await followRevision(client, job, revision);
      });
    });
}

interface AbortFlags extends ConnectionFlags {
  readonly allowOutage?: boolean;
  readonly detach?: boolean;
}

export function addAbort(program: Command): void {
  withConnection(program.command("abort"))
    .description("give up an update that is under way: back to the config that last served whole")
    .argument("<job>", "the job's name")
    .option("--allow-outage", "let nothing serve for a while where no replica can be spared")
    .option("--detach", "return as soon as the change is accepted")
    .addHelpText("after", "\nExamples:\n  pdjob-client abort quickstart")
    .action(async (job: string, flags: AbortFlags) => {
      await withClient(flags, async (client) => {
        const outage = flags.allowOutage ? ({ outage: true } as const) : {};
        const { revision, backTo } = await client.abort(job, outage);
        print(`${job}: revision ${revision}, as ${backTo} was, is wanted`);
        if (!flags.detach) await followRevision(client, job, revision);
      });
    });
}
