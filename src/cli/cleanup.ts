import type { Command } from "commander";
import { ClientError } from "../client/client-error.ts";
import { PdjobError, isClusterFault } from "../domain/errors.ts";
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
        if (job !== undefined && (await isRunning(job, flags))) throw new Exit(1, refusal(job));
        const { found, problems } = await sweepEach(
          job === undefined ? await jobsOn(agent) : [job],
          {
            isRunning: (one) => isRunning(one, flags),
            sweep: (one) => sweep(agent, one, flags),
          },
        );
        report(found, flags);
        if (problems.length > 0) throw new Exit(1, problems.join("\n"));
      });
    });
}

const jobsOn = async (agent: Agent): Promise<readonly string[]> =>
  (await agent.call("jobs", {})).jobs.map(({ job }) => job);

const isRunning = async (job: string, flags: CleanupFlags): Promise<boolean> =>
  !flags.force && (await withClient(flags, (client) => client.isRunning(job)));

const refusal = (job: string): string =>
  `Job ${job} runs: its workflow looks after what it holds. End it with pdjob-client stop ${job}.`;

interface Means {
  readonly isRunning: (job: string) => Promise<boolean>;
  readonly sweep: (job: string) => Promise<Swept>;
}

interface Swept {
  readonly found: readonly Leftover[];
  /** What may be left all the same, and what to do about it. */
  readonly problem?: string;
}

/**
 * What was swept of the jobs that have no running workflow, and whose sweep failed by what: of one that cannot be swept the
 * others do not suffer. Each is asked for right before it is swept, since it may have been started during the minutes that
 * those before it took. A cluster that does not answer ends it, and what was swept by then is told all the same.
 */
export async function sweepEach(jobs: readonly string[], { isRunning, sweep }: Means) {
  const found: Leftover[] = [];
  const problems: string[] = [];
  for (const job of jobs) {
    if (await isRunning(job)) continue;
    try {
      const swept = await sweep(job);
      found.push(...swept.found);
      if (swept.problem !== undefined) problems.push(`${job}: ${swept.problem}`);
    } catch (error) {
      if (!(error instanceof PdjobError)) throw error;
      problems.push(`${job}: ${error.message}`);
      if (isClusterFault(error)) break;
    }
  }
  return { found, problems };
}

async function sweep(agent: Agent, job: string, flags: CleanupFlags): Promise<Swept> {
  const workingDirs = await workingDirsOf(job, flags);
  const { removed, silentNodes } = await agent.call("sweep", {
    job,
    dryRun: flags.dryRun ?? false,
    workingDirs,
  });
  const found = removed.map(({ kind, name }) => ({ job, kind, name }));
  return silentNodes ? { found, problem: silence(silentNodes, job, workingDirs) } : { found };
}

const silence = (nodes: readonly string[], job: string, places: readonly string[]): string =>
  `${nodes.join(", ")} did not answer in time, so KV may be left there. Run cleanup again, or remove ${places.map((place) => `${place}/.pdjob/kv/${job}`).join(" and ")} there.`;

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
