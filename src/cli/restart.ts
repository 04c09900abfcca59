import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import type { JobStatus } from "../domain/status.ts";
import { restartLimitS } from "../plan/wait-limit.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { print } from "./output.ts";
import { waitFor, withTimeout } from "./wait.ts";
import type { WaitFlags } from "./wait.ts";

export function addRestart(program: Command): void {
  withTimeout(
    withConnection(program.command("restart")),
    "what the config allows two drains and two boots",
  )
    .description("replace a replica, or the proxy, by a new generation with a fresh restart budget")
    .argument("<job>", "the job's name")
    .argument("<replica>", "prefill-0, decode-1, … or proxy")
    .option("--allow-outage", "let nothing serve for a while where it cannot be spared")
    .option("--wait", "follow until the job is READY with the new generation")
    .addHelpText(
      "after",
      "\nA replica leaves the proxy first and ends its requests. The only one of its role gets another beside it first, within num_gpus; without room for that it is refused, unless --allow-outage accepts that nothing serves until the new one does.\n\nExamples:\n  pdjob-client restart quickstart decode-1 --wait\n  pdjob-client restart quickstart decode-1 --timeout 900\n  pdjob-client restart quickstart proxy",
    )
    .action(
      async (
        job: string,
        replica: string,
        flags: ConnectionFlags & WaitFlags & { wait?: boolean; allowOutage?: boolean },
      ) => {
        await withClient(flags, async (client) => {
          const outage = flags.allowOutage ? ({ outage: true } as const) : {};
          const answer = await client.restart(job, replica, outage);
          print(`${job}: ${replica} is replaced, g${answer.retired} makes way`);
          if (!flags.wait && flags.timeout === undefined) return;
          const status = await waitFor({
            client,
            job,
            until: (one) => isReplaced(one, answer),
            goal: `READY with a new ${replica}`,
            timeoutS: flags.timeout,
            limitOf: restartLimitS,
          });
          if (!isReplaced(status, answer))
            throw new Exit(1, `Job ${job} is ${status.phase}: ${status.reason}`);
        });
      },
    );
}

/**
 * READY may still be the state before the request: the generation tells. While an update is on its way, or paused for who
 * knows how long, the job is not READY, and what counts is the replica alone.
 */
export function isReplaced(
  { phase, proxy, replicas }: JobStatus,
  answer: Awaited<ReturnType<PdjobClient["restart"]>>,
): boolean {
  const current =
    answer.replica === "proxy" ? proxy : replicas.find(({ name }) => name === answer.replica);
  const isThere = phase === "READY" || (phase === "UPDATING" && current?.phase === "READY");
  return isThere && (current?.generation ?? 0) > answer.retired;
}
