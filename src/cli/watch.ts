import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../client/client-error.ts";
import type { Execution, PdjobClient } from "../client.ts";
import type { JobStatus } from "../domain/status.ts";
import { abandonment, isAbandoned, isOver } from "./follow.ts";
import { warn } from "./output.ts";

const watchEveryDefaultMs = 1_000;

/** A job's status, or what is known of one that was ended without a word to its workflow. */
export type Standing = Omit<JobStatus, "phase"> & {
  readonly phase: JobStatus["phase"] | "TERMINATED";
  /** Replicas, proxy and counts are as they were when the job was ended: nobody has looked since. */
  readonly isPast?: true;
  /** Its steps fail, so that what is told of replicas and proxy is as old as this. */
  readonly unattended?: Unattended;
};

interface Unattended {
  /** About. */
  readonly sinceMs: number;
  readonly activity: string;
  readonly message: string;
}

/** What keeps a job looked after: it observes the job and decides. */
const looks: ReadonlySet<string> = new Set(["watchJob", "planTurn"]);

export async function standingOf(client: PdjobClient, job: string): Promise<Standing> {
  const [status, execution] = await Promise.all([client.status(job), client.look(job)]);
  if (!isAbandoned(execution)) {
    const unattended = unattendedBy(execution);
    return unattended ? { ...status, unattended } : status;
  }
  return { ...status, phase: "TERMINATED", isPast: true, reason: abandonment(job, execution) };
}

/** By the look that has failed for longest. */
const unattendedBy = ({ failures }: Execution): Unattended | undefined =>
  failures
    .flatMap(({ activity, message, failingSinceMs: sinceMs }) =>
      sinceMs !== undefined && looks.has(activity) ? [{ sinceMs, activity, message }] : [],
    )
    .toSorted((a, b) => a.sinceMs - b.sinceMs)[0];

/** The time is estimated anew with every attempt: of one failure, the first estimate stays. */
function steady(standing: Standing, last: Unattended | undefined): Standing {
  const { unattended } = standing;
  if (!last || unattended?.message !== last.message || unattended.activity !== last.activity)
    return standing;
  return { ...standing, unattended: last };
}

interface Watching {
  readonly client: PdjobClient;
  readonly job: string;
  readonly show: (standing: Standing) => void;
  readonly everyMs?: number;
}

/** Shows how a job stands, again and again until it has ended. A worker or a server that is away is waited for. */
export async function watch({
  client,
  job,
  show,
  everyMs = watchEveryDefaultMs,
}: Watching): Promise<void> {
  const absence = absenceTeller();
  let last: Unattended | undefined;
  for (;;) {
    const found = await standingOf(client, job).catch(absence.tell);
    if (found) {
      const standing = steady(found, last);
      last = standing.unattended;
      absence.isOver();
      show(standing);
      if (standing.phase === "TERMINATED" || isOver(standing.phase)) return;
    } else if (await hasEnded(client, job)) return;
    await sleep(everyMs);
  }
}

/** Says once that nobody answers, and once that somebody does again, on standard error: the reader of a pipe is not bothered. */
function absenceTeller() {
  let answeredMs = Date.now();
  let isAway = false;
  const awayS = (): number => Math.round((Date.now() - answeredMs) / 1_000);
  return {
    tell(error: unknown): undefined {
      if (!isAbsence(error)) throw error;
      if (!isAway) warn(`No answer for ${awayS()} s; watching goes on. ${error.message}`);
      isAway = true;
    },
    isOver(): void {
      if (isAway) warn(`Answers again, after ${awayS()} s.`);
      isAway = false;
      answeredMs = Date.now();
    },
  };
}

const isAbsence = (error: unknown): error is ClientError =>
  error instanceof ClientError && (error.code === "NoWorker" || error.code === "Unreachable");

/** The server knows an end without a worker. */
async function hasEnded(client: PdjobClient, job: string): Promise<boolean> {
  const execution = await client.look(job).catch((error: unknown) => {
    if (isAbsence(error)) return undefined;
    throw error;
  });
  if (!execution || goesOn(execution)) return false;
  warn(
    isAbandoned(execution)
      ? abandonment(job, execution)
      : `Job ${job} has ended (${execution.state}); a worker can tell its last status.`,
  );
  return true;
}

const goesOn = ({ state }: Execution): boolean =>
  state === "RUNNING" || state === "CONTINUED_AS_NEW";
