import type { Command } from "commander";
import { ClientError } from "../client/client-error.ts";
import { defaultWorkingDir } from "../domain/names.ts";
import type { Agent } from "../ray/agent.ts";
import { withAgent, withClient, withConnection, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { print, printJson, warn } from "./output.ts";

interface CleanupFlags extends ConnectionFlags {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

interface Leftover {
  readonly job: string;
  readonly kind: string;
  readonly name: string;
}

/** For jobs that no workflow looks after any more: `terminate` runs no code of ours. */
export function addCleanup(program: Command): void {
  withRay(withConnection(program.command("cleanup")))
    .description(
      "remove what a terminated job left: actors, engines, placement groups in Ray, and KV in files on the nodes",
    )
    .argument("[job]", "the job's name")
    .option("--all", "every job on the cluster that no workflow looks after")
    .option("--dry-run", "only list it")
    .option("--force", "do not ask Temporal whether the job still runs")
    .option("--json", "print what was found as JSON")
    .addHelpText(
      "after",
      "\nA job that runs is never touched: pdjob-client stop ends it in order.\n\nExamples:\n  pdjob-client cleanup quickstart --dry-run\n  pdjob-client cleanup --all",
    )
    .action(async (job: string | undefined, flags: CleanupFlags) => {
      if ((job === undefined) !== (flags.all ?? false))
        throw new Exit(
          2,
          "Give a job's name, or --all for every job that no workflow looks after.",
        );
      await withAgent(flags, async (agent) => {
        const jobs = await abandoned(job === undefined ? await jobsOn(agent) : [job], job, flags);
        const found: Leftover[] = [];
        for (const one of jobs) found.push(...(await sweep(agent, one, flags)));
        report(found, flags);
      });
    });
}

const jobsOn = async (agent: Agent): Promise<readonly string[]> =>
  (await agent.call("jobs", {})).jobs.map(({ job }) => job);

/** The jobs among these that have no running workflow. One that was named and runs is refused. */
async function abandoned(
  jobs: readonly string[],
  named: string | undefined,
  flags: CleanupFlags,
): Promise<readonly string[]> {
  if (flags.force) return jobs;
  return withClient(flags, async (client) => {
    const running = await Promise.all(jobs.map((job) => client.isRunning(job)));
    if (named !== undefined && running[0]) {
      const text = `Job ${named} runs: its workflow looks after what it holds. End it with pdjob-client stop ${named}.`;
      throw new Exit(1, text);
    }
    return jobs.filter((_, index) => running[index] !== true);
  });
}

async function sweep(agent: Agent, job: string, flags: CleanupFlags): Promise<readonly Leftover[]> {
  const workingDirs = await workingDirsOf(job, flags);
  const { removed } = await agent.call("sweep", {
    job,
    dryRun: flags.dryRun ?? false,
    workingDirs,
  });
  return removed.map(({ kind, name }) => ({ job, kind, name }));
}

/** Those of all its configs that are remembered; the default one where nobody remembers any. */
async function workingDirsOf(job: string, flags: CleanupFlags): Promise<readonly string[]> {
  const remembered = flags.force ? [] : await rememberedDirs(job, flags);
  if (remembered.length > 0) return remembered;
  const place = defaultWorkingDir(job);
  const why = flags.force ? "With --force nobody is asked for" : "Nobody tells";
  warn(`${why} the working_dir of ${job}: KV in files is looked for in ${place} alone.`);
  return [place];
}

async function rememberedDirs(job: string, flags: CleanupFlags): Promise<readonly string[]> {
  try {
    const revisions = await withClient(flags, (client) => client.revisions(job));
    return [...new Set(revisions.map(({ spec }) => spec.workingDir))];
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return [];
  }
}

const inWords: Readonly<Record<string, string>> = {
  placementGroup: "placement group",
  kvFolder: "KV in",
};

function report(found: readonly Leftover[], { dryRun, json }: CleanupFlags): void {
  if (json) return printJson(found);
  if (found.length === 0) return print("nothing is left over");
  for (const { kind, name } of found)
    print(`${dryRun ? "would remove" : "removed"} ${inWords[kind] ?? kind} ${name}`);
}
