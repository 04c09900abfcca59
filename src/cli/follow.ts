import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../client/client-error.ts";
import type { Execution, PdjobClient } from "../client.ts";
import { pauseNotes } from "../domain/revision.ts";
import type { JobPhase, JobStatus } from "../domain/status.ts";
import { Exit } from "./exit.ts";
import { unlessAborted } from "./interrupt.ts";
import { ownCommand } from "./invocation.ts";
import { print } from "./output.ts";

const pollEveryMs = 300;
/** Retried steps, and whether the workflow is there at all, are looked up this often: it costs the server more than a query. */
const lookEveryMs = 3_000;
/** Somebody who waits is told this often that nothing has changed. */
const stillEveryDefaultMs = 30_000;

export interface FollowOptions {
  readonly client: PdjobClient;
  readonly job: string;
  readonly until: (status: JobStatus) => boolean;
  readonly signal?: AbortSignal;
  /** Told of every status, and of every time that no worker gave one. */
  readonly onAnswer?: (answer: JobStatus | ClientError) => void;
  readonly stillEveryMs?: number;
}

/** Prints one line for each change until `until` holds, the job ends, or `signal` aborts. Answers with the last status. */
export async function follow(options: FollowOptions): Promise<JobStatus | undefined> {
  const { client, job, until, signal, onAnswer, stillEveryMs = stillEveryDefaultMs } = options;
  const tell = changeTeller(stillEveryMs);
  let lookAtMs = Date.now() + lookEveryMs;
  let isFirst = true;
  for (;;) {
    const answer = await unlessAborted(client.status(job).catch(absenceOfWorker), signal);
    if (answer === undefined || signal?.aborted) return undefined;
    onAnswer?.(answer);
    if (answer instanceof ClientError) tell.change("worker", answer.message);
    else {
      tell.back("worker", "The worker answers again");
      for (const { key, text } of describe(answer)) tell.change(key, text);
      const pause = lastPause(answer);
      // What was paused before this began is no news.
      if (isFirst) tell.know("pause", pause);
      else if (pause) tell.change("pause", pause, pauseLine(pause, job));
      isFirst = false;
      if (until(answer) || isOver(answer.phase)) return answer;
    }
    tell.still(answer instanceof ClientError ? "no worker answers" : doingOf(answer));
    if (Date.now() >= lookAtMs) {
      lookAtMs = Date.now() + lookEveryMs;
      await unlessAborted(lookAround(options, tell), signal);
    }
    await sleep(pollEveryMs, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}

type Tell = ReturnType<typeof changeTeller>;

/** Lines with the seconds since now. */
function changeTeller(stillEveryMs: number) {
  const startedMs = Date.now();
  let toldMs = startedMs;
  const seen = new Map<string, string>();
  const say = (line: string): void => {
    toldMs = Date.now();
    print(`${((toldMs - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${line}`);
  };
  return {
    /** When it differs from what was said of it last. */
    change(key: string, text: string, line = text): void {
      if (seen.get(key) === text) return;
      seen.set(key, text);
      say(line);
    },
    /** As if it had been said. */
    know(key: string, text: string | undefined): void {
      if (text !== undefined) seen.set(key, text);
    },
    /** When something was said of it before; it is news again the next time. */
    back(key: string, line: string): void {
      if (seen.delete(key)) say(line);
    },
    /** When nothing was said for long. */
    still(line: string): void {
      if (Date.now() - toldMs >= stillEveryMs) say(`still waiting: ${line}`);
    },
  };
}

/** The last that was said of a pause. Who paused an update need not be the one who follows it. */
const lastPause = ({ events }: JobStatus): string | undefined =>
  events.findLast(({ text }) => text === pauseNotes.paused || text === pauseNotes.resumed)?.text;

const pauseLine = (text: string, job: string): string =>
  text === pauseNotes.paused ? `${text}; let it go on: ${ownCommand()} resume ${job}` : text;

/** While no worker polls there is nothing to ask, but the job is safe with the server: that is no end. */
function absenceOfWorker(error: unknown): ClientError {
  if (error instanceof ClientError && error.code === "NoWorker") return error;
  throw error;
}

async function lookAround({ client, job }: FollowOptions, tell: Tell): Promise<void> {
  const execution = await client.look(job);
  if (isAbandoned(execution)) throw new Exit(1, abandonment(job, execution));
  for (const { activity, attempt, message } of execution.failures)
    tell.change(
      `step ${activity}`,
      message,
      `${activity} is retried (attempt ${attempt}): ${message}`,
    );
}

/** Its last status stays as it was for ever, because no code of ours ran at its end. */
export const isAbandoned = ({ state }: Execution): boolean =>
  state === "TERMINATED" || state === "TIMED_OUT";

export const abandonment = (job: string, { state }: Execution): string =>
  `Job ${job} was ${state === "TERMINATED" ? "terminated" : "timed out by the server"}: no workflow looks after it any more, and none cleaned up. Unless that was done since, remove what it left in Ray: pdjob-client cleanup ${job}`;

export const isOver = (phase: JobPhase): boolean => phase === "FAILED" || phase === "STOPPED";

/** For who interrupts: nothing of the job ends with us. */
export const notFollowed = (job: string): string =>
  `\nNot followed any more; job ${job} goes on. Follow: ${ownCommand()} status ${job} --watch`;

/** What a job is at, in one line. */
export function doingOf({ phase, reason, ready, desired, inFlight }: JobStatus): string {
  const counts = `${ready.prefill}/${desired.prefill} prefill and ${ready.decode}/${desired.decode} decode are ready`;
  const doing = inFlight.length > 0 ? inFlight.join(", ") : "nothing";
  return `${phase}${reason ? ` (${reason})` : ""}, ${counts}, doing: ${doing}`;
}

function describe({
  phase,
  reason,
  replicas,
  proxy,
  failure,
}: JobStatus): readonly { readonly key: string; readonly text: string }[] {
  return [
    ...replicas.map(({ name, generation, phase: state, outdated, url, note }) => ({
      key: name,
      text: [
        name,
        generation > 0 ? `g${generation}` : "",
        state,
        outdated ? "outdated" : "",
        url ?? "",
        note ?? "",
      ]
        .filter(Boolean)
        .join(" "),
    })),
    {
      key: "proxy",
      text: ["proxy", proxy.phase, proxy.url ?? "", proxy.note ?? ""].filter(Boolean).join(" "),
    },
    {
      key: "phase",
      text: failure
        ? `${phase}: ${failure.code}`
        : phase === "WAITING" || phase === "DEGRADED"
          ? `${phase}: ${reason}`
          : phase,
    },
  ];
}
