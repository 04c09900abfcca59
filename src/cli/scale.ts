import type { Command } from "commander";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { JobStatus } from "../domain/status.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { follow } from "./follow.ts";
import { print } from "./output.ts";

export function addScale(program: Command): void {
  withConnection(program.command("scale"))
    .description("change how many replicas a job has")
    .argument("<job>", "the job's name")
    .argument("<role=count...>", "prefill=N and/or decode=N")
    .option("--wait", "follow until the job is READY with the new counts")
    .option("--key <text>", "idempotency key: repeating it changes nothing")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client scale quickstart decode=3 --wait\n  pdjob-client scale quickstart prefill=3 decode=2",
    )
    .action(
      async (
        job: string,
        words: string[],
        flags: ConnectionFlags & { wait?: boolean; key?: string },
      ) => {
        const wanted = words.map(readCount);
        await withClient(flags, async (client) => {
          for (const { role, replicas } of wanted) {
            const key = flags.key === undefined ? {} : { key: `${flags.key}-${role}` };
            const { desired } = await client.scale(job, { role, replicas, ...key });
            print(`${job}: ${roles.map((one) => `${one}=${desired[one]}`).join(" ")} is wanted`);
          }
          if (!flags.wait) return;
          const status = await follow({ client, job, until: (one) => hasCounts(one, wanted) });
          if (status?.phase !== "READY")
            throw new Exit(1, `Job ${job} is ${status?.phase}: ${status?.reason}`);
        });
      },
    );
}

interface Count {
  readonly role: Role;
  readonly replicas: number;
}

function readCount(word: string): Count {
  const [, role, count] = /^(prefill|decode)=(\d+)$/.exec(word) ?? [];
  if (role === undefined)
    throw new Exit(
      2,
      `${word}: expected prefill=N or decode=N. Example: pdjob-client scale JOB prefill=2 decode=3`,
    );
  return { role: role as Role, replicas: Number(count) };
}

/** READY may still be the state before the request: the counts tell. */
const hasCounts = ({ phase, ready, replicas }: JobStatus, wanted: readonly Count[]): boolean =>
  phase === "READY" &&
  wanted.every(
    ({ role, replicas: count }) =>
      ready[role] === count && replicas.filter((one) => one.role === role).length === count,
  );
