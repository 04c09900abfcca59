import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import type { JobSpec } from "../domain/spec.ts";
import { requireSpec } from "./config-file.ts";
import { uiUrlOf, withClient, withConnection, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { showEngineLogs } from "./engine-logs.ts";
import { Exit } from "./exit.ts";
import { follow } from "./follow.ts";
import { colour, print } from "./output.ts";

interface StartFlags extends ConnectionFlags {
  readonly name?: string;
  readonly detach?: boolean;
  readonly followEngineLogs: boolean;
}

export function addStart(program: Command): void {
  withRay(withConnection(program.command("start")))
    .description("start a job and follow it until it is READY or FAILED")
    .argument("<config>", "YAML file, or - for standard input")
    .option("--name <job>", "the job's name, over the one in the file")
    .option("--detach", "return as soon as the job is accepted")
    .option("--no-follow-engine-logs", "show the job's progress alone, not what its engines write")
    .addHelpText(
      "after",
      "\nCtrl-C stops following; the job goes on.\n\nExamples:\n  pdjob-client start job.yaml\n  pdjob-client start job.yaml --name blue --detach",
    )
    .action(async (file: string, flags: StartFlags) => {
      const spec = requireSpec(file, flags.name);
      await withClient(flags, async (client) => {
        await client.start(spec);
        const ui = uiUrlOf(spec.name, client.namespace);
        print(`job ${spec.name} is accepted (workflow pdjob-${spec.name}${ui ? `, ${ui}` : ""})`);
        if (flags.detach) return;
        const ended = new AbortController();
        const logs = flags.followEngineLogs
          ? showEngineLogs(spec.name, flags, ended.signal)
          : undefined;
        try {
          await followToReady(client, spec);
        } finally {
          ended.abort();
          await logs;
        }
      });
    });
}

/** Exit 1 with the whole reason when it fails; 130 when interrupted, which leaves the job alone. */
export async function followToReady(
  client: PdjobClient,
  { name }: Pick<JobSpec, "name">,
): Promise<void> {
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  try {
    const status = await follow({
      client,
      job: name,
      until: ({ phase }) => phase === "READY",
      signal: interrupt.signal,
    });
    if (!status)
      throw new Exit(
        130,
        `\nNot followed any more; job ${name} goes on. Follow: pdjob-client status ${name} --watch. Stop: pdjob-client stop ${name}`,
      );
    if (status.phase === "READY") return printReady(name, status.proxy.url);
    await client.result(name); // Tells the reason, by failing with it.
    throw new Exit(1, `Job ${name} is ${status.phase}: ${status.reason}`);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
  }
}

function printReady(job: string, url: string | undefined): void {
  print(`${colour("green", "READY")}  OpenAI endpoint: ${url ?? "see status"}/v1`);
  print(
    `next:  pdjob-client status ${job} · pdjob-client scale ${job} decode=3 · pdjob-client logs ${job} decode-0 · pdjob-client stop ${job}`,
  );
}
