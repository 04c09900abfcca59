import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import { countsProblem, replicasMax } from "../domain/scale.ts";
import type { JobStatus } from "../domain/status.ts";
import { changeLimitS } from "../plan/wait-limit.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit, exitOf } from "./exit.ts";
import { print } from "./output.ts";
import { waitFor, withTimeout } from "./wait.ts";
import type { WaitFlags } from "./wait.ts";

export function addScale(program: Command): void {
  withTimeout(withConnection(program.command("scale")), "what the config allows a drain and a boot")
    .description("change how many replicas a job has")
    .argument("<job>", "the job's name")
    .argument("<role=count...>", "prefill=N and/or decode=N")
    .option("--wait", "follow until the job is READY with the new counts")
    .option("--key <text>", "idempotency key: repeating it changes nothing")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client scale quickstart decode=3 --wait\n  pdjob-client scale quickstart decode=3 --timeout 900\n  pdjob-client scale quickstart prefill=3 decode=2",
    )
    .action(
      async (
        job: string,
        words: string[],
        flags: ConnectionFlags & WaitFlags & { wait?: boolean; key?: string },
      ) => {
        const wanted = readCounts(words, job);
        await withClient(flags, async (client) => {
          await scaleTo(client, job, wanted, flags.key);
          if (!flags.wait && flags.timeout === undefined) return;
          const status = await waitFor({
            client,
            job,
            until: (one) => hasCounts(one, wanted),
            goal: `READY with ${words.join(" ")}`,
            timeoutS: flags.timeout,
            limitOf: changeLimitS,
          });
          if (status.phase !== "READY")
            throw new Exit(1, `Job ${job} is ${status.phase}: ${status.reason}`);
        });
      },
    );
}

/**
 * All counts or none: they are checked together before the first is asked for, and those that go down are asked for first,
 * to make room. What somebody else changes meanwhile may still come between, and is then told.
 */
async function scaleTo(
  client: PdjobClient,
  job: string,
  wanted: readonly Count[],
  key: string | undefined,
): Promise<void> {
  const { desired, limits } = await client.status(job);
  const problem =
    limits && countsProblem(job, limits, { ...desired, ...asRecord(wanted) }, rolesOf(wanted));
  if (problem) throw new Exit(1, `${problem} Nothing was changed.`);
  const done: string[] = [];
  for (const { role, replicas } of inOrder(wanted, desired)) {
    const keyed = key === undefined ? {} : { key: `${key}-${role}` };
    const answer = await client.scale(job, { role, replicas, ...keyed }).catch((error: unknown) => {
      throw done.length === 0 ? error : partly(error, `${role}=${replicas}`, done);
    });
    done.push(`${role}=${replicas}`);
    print(`${job}: ${roles.map((one) => `${one}=${answer.desired[one]}`).join(" ")} is wanted`);
  }
}

/** Those that go down first. */
export const inOrder = (
  wanted: readonly Count[],
  desired: Readonly<Record<Role, number>>,
): readonly Count[] =>
  wanted.toSorted((a, b) => a.replicas - desired[a.role] - (b.replicas - desired[b.role]));

function partly(error: unknown, refused: string, done: readonly string[]): Exit {
  const { code, message } = exitOf(error);
  return new Exit(code, `${done.join(" ")} is asked for, but ${refused} is not: ${message}`);
}

const rolesOf = (counts: readonly Count[]): readonly Role[] => counts.map(({ role }) => role);

const asRecord = (counts: readonly Count[]): Partial<Record<Role, number>> =>
  Object.fromEntries(counts.map(({ role, replicas }) => [role, replicas]));

interface Count {
  readonly role: Role;
  readonly replicas: number;
}

function readCounts(words: readonly string[], job: string): readonly Count[] {
  const counts = words.map((word) => readCount(word, job));
  const twice = roles.find((one) => counts.filter(({ role }) => role === one).length > 1);
  if (twice) throw new Exit(2, `${twice} is given twice: ${words.join(" ")}`);
  return counts;
}

function readCount(word: string, job: string): Count {
  const [, name, count] = /^([a-z]+)=(\d+)$/.exec(word) ?? [];
  const role = roles.find((one) => one === name);
  if (role === undefined)
    throw new Exit(
      2,
      `${word}: expected prefill=N or decode=N. Example: pdjob-client scale JOB prefill=2 decode=3`,
    );
  const replicas = Number(count);
  if (replicas < 1)
    throw new Exit(
      2,
      `${word}: 1 is the least while the job serves; pdjob-client stop ${job} ends it.`,
    );
  if (replicas > replicasMax) throw new Exit(2, `${word}: ${replicasMax} is the most.`);
  return { role, replicas };
}

/** READY may still be the state before the request: the counts tell. */
const hasCounts = ({ phase, ready, replicas }: JobStatus, wanted: readonly Count[]): boolean =>
  phase === "READY" &&
  wanted.every(
    ({ role, replicas: count }) =>
      ready[role] === count && replicas.filter((one) => one.role === role).length === count,
  );
