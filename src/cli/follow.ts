import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../client.ts";
import type { PdjobClient } from "../client.ts";
import type { JobPhase, JobStatus } from "../domain/status.ts";
import { print } from "./output.ts";

const pollEveryMs = 300;
/** Retried steps are looked up this often: it costs the server more than a query. */
const failuresEveryMs = 3_000;

export interface FollowOptions {
  readonly client: PdjobClient;
  readonly job: string;
  readonly until: (status: JobStatus) => boolean;
  readonly signal?: AbortSignal;
}

/** Prints one line for each change until `until` holds, the job ends, or `signal` aborts. Answers with the last status. */
export async function follow({
  client,
  job,
  until,
  signal,
}: FollowOptions): Promise<JobStatus | undefined> {
  const startedMs = Date.now();
  const tell = (text: string): void =>
    print(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${text}`);
  const seen = new Map<string, string>();
  const changed = (key: string, text: string): boolean => {
    if (seen.get(key) === text) return false;
    seen.set(key, text);
    return true;
  };
  let failuresAtMs = Date.now() + failuresEveryMs;
  for (;;) {
    if (signal?.aborted) return undefined;
    const status = await client.status(job).catch((error: unknown) => waitForWorker(error));
    if (status) {
      for (const line of describe(status)) if (changed(line.key, line.text)) tell(line.text);
      if (until(status) || isOver(status.phase)) return status;
    }
    if (Date.now() >= failuresAtMs) {
      failuresAtMs = Date.now() + failuresEveryMs;
      for (const { activity, attempt, message } of await client.pendingFailures(job)) {
        if (changed(`pending ${activity}`, message))
          tell(`${activity} is retried (attempt ${attempt}): ${message}`);
      }
    }
    await sleep(pollEveryMs, undefined, signal ? { signal } : {}).catch(() => undefined);
  }

  /** While no worker polls there is nothing to ask, but the job is safe with the server: say so, and go on. */
  function waitForWorker(error: unknown): undefined {
    if (!(error instanceof ClientError) || error.code !== "NoWorker") throw error;
    if (changed("worker", error.message)) tell(error.message);
  }
}

export const isOver = (phase: JobPhase): boolean => phase === "FAILED" || phase === "STOPPED";

function describe({
  phase,
  reason,
  replicas,
  proxy,
  failure,
}: JobStatus): readonly { readonly key: string; readonly text: string }[] {
  return [
    ...replicas.map(({ name, generation, phase: state, url, note }) => ({
      key: name,
      text: [name, generation > 0 ? `g${generation}` : "", state, url ?? "", note ?? ""]
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
