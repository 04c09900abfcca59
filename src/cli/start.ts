import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import { workflowIdOf } from "../domain/names.ts";
import { requireSpec } from "./config-file.ts";
import { uiUrlOf, withClient, withConnection, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { showEngineLogs } from "./engine-logs.ts";
import { Exit } from "./exit.ts";
import { follow, notFollowed } from "./follow.ts";
import { interruption } from "./interrupt.ts";
import { ownCommand } from "./invocation.ts";
import { withName } from "./name-flag.ts";
import type { NameFlag } from "./name-flag.ts";
import { colour, print } from "./output.ts";
import { uploadPlanOf } from "./upload.ts";

interface StartFlags extends ConnectionFlags, NameFlag {
  readonly detach?: boolean;
  readonly followEngineLogs: boolean;
}

export function addStart(program: Command): void {
  withName(withRay(withConnection(program.command("start"))))
    .description("start a job and follow it until it is READY or FAILED")
    .argument("<config>", "YAML file, or - for standard input")
    .option("--detach", "return as soon as the job is accepted")
    .option("--no-follow-engine-logs", "show the job's progress alone, not what its engines write")
    .addHelpText(
      "after",
      "\nCtrl-C stops following; the job goes on.\n\nExamples:\n  pdjob-client start job.yaml\n  pdjob-client start job.yaml --name blue --detach",
    )
    .action(async (file: string, flags: StartFlags) => {
      const spec = requireSpec(file, flags.name === undefined ? {} : { name: flags.name });
      const upload = await uploadPlanOf(spec);
      if (upload) print(`uploads ${upload.text}`);
      await withClient(flags, async (client) => {
        await client.start(spec);
        const ui = uiUrlOf(spec.name, client, flags);
        print(
          `job ${spec.name} is accepted (workflow ${workflowIdOf(spec.name)}${ui ? `, ${ui}` : ""})`,
        );
        if (flags.detach) return;
        const isReady = await followWithLogs(client, spec.name, flags);
        if (!isReady)
          throw new Exit(130, `${notFollowed(spec.name)}. Stop: ${ownCommand()} stop ${spec.name}`);
        printNext(spec.name);
      });
    });
}

async function followWithLogs(
  client: PdjobClient,
  job: string,
  flags: StartFlags,
): Promise<boolean> {
  const ended = new AbortController();
  const logs = flags.followEngineLogs ? showEngineLogs(job, flags, ended.signal) : undefined;
  try {
    return await followToReady(client, job, interruption());
  } finally {
    ended.abort();
    await logs;
  }
}

/** False when `signal` aborts first, which leaves the job alone. Fails with the whole reason when the job does. */
export async function followToReady(
  client: PdjobClient,
  job: string,
  signal: AbortSignal,
): Promise<boolean> {
  const status = await follow({ client, job, until: ({ phase }) => phase === "READY", signal });
  if (!status) return false;
  if (status.phase !== "READY") {
    await client.result(job); // Tells the reason, by failing with it.
    throw new Exit(1, `Job ${job} is ${status.phase}: ${status.reason}`);
  }
  print(`${colour("green", "READY")}  OpenAI endpoint: ${status.proxy.url ?? "see status"}/v1`);
  return true;
}

function printNext(job: string): void {
  const own = ownCommand();
  const words = [`status ${job}`, `scale ${job} decode=3`, `logs ${job} decode-0`, `stop ${job}`];
  print(`next:  ${words.map((one) => `${own} ${one}`).join(" · ")}`);
}
