import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../client/errors.ts";
import type { Execution, PdjobClient } from "../client.ts";
import type { JobPhase, JobStatus } from "../domain/status.ts";
import { Exit } from "./exit.ts";
import { print } from "./output.ts";

const pollEveryMs = 300;
/** Retried steps, and whether the workflow is there at all, are looked up this often: it costs the server more than a query. */
const lookEveryMs = 3_000;

export interface FollowOptions {
  readonly client: PdjobClient;
  readonly job: string;
  readonly until: (status: JobStatus) => boolean;
  readonly signal?: AbortSignal;
}

/** Prints one line for each change until `until` holds, the job ends, or `signal` aborts. Answers with the last status. */
export async function follow(options: FollowOptions): Promise<JobStatus | undefined> {
  const { client, job, until, signal } = options;
  const tell = changeTeller();
  let lookAtMs = Date.now() + lookEveryMs;
  for (;;) {
    if (signal?.aborted) return undefined;
    const status = await client.status(job).catch((error: unknown) => waitForWorker(error, tell));
    if (status) {
      for (const { key, text } of describe(status)) tell(key, text);
      if (until(status) || isOver(status.phase)) return status;
    }
    if (Date.now() >= lookAtMs) {
      lookAtMs = Date.now() + lookEveryMs;
      await lookAround(options, tell);
    }
    await sleep(pollEveryMs, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}

type Tell = (key: string, text: string, line?: string) => void;

/** Prints what is said of something when it differs from what was said of it last, with the seconds since now. */
function changeTeller(): Tell {
  const startedMs = Date.now();
  const seen = new Map<string, string>();
  return (key, text, line = text) => {
    if (seen.get(key) === text) return;
    seen.set(key, text);
    print(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${line}`);
  };
}

/** While no worker polls there is nothing to ask, but the job is safe with the server: say so, and go on. */
function waitForWorker(error: unknown, tell: Tell): undefined {
  if (!(error instanceof ClientError) || error.code !== "NoWorker") throw error;
  tell("worker", error.message);
}

async function lookAround({ client, job }: FollowOptions, tell: Tell): Promise<void> {
  const execution = await client.look(job);
  if (isAbandoned(execution)) throw new Exit(1, abandonment(job, execution));
  for (const { activity, attempt, message } of execution.failures)
    tell(`step ${activity}`, message, `${activity} is retried (attempt ${attempt}): ${message}`);
}

/** Its last status stays as it was for ever, because no code of ours ran at its end. */
export const isAbandoned = ({ state }: Execution): boolean =>
  state === "TERMINATED" || state === "TIMED_OUT";

export const abandonment = (job: string, { state }: Execution): string =>
  `Job ${job} was ${state === "TERMINATED" ? "terminated" : "timed out by the server"}: no workflow looks after it any more, and nothing was cleaned up. Remove what it left in Ray: pdjob-client cleanup ${job}`;

export const isOver = (phase: JobPhase): boolean => phase === "FAILED" || phase === "STOPPED";

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
