import type { Command } from "commander";
import type { PdjobClient } from "../client.ts";
import { ClientError } from "../client/client-error.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { JobStatus } from "../domain/status.ts";
import { Exit } from "./exit.ts";
import { doingOf, follow, notFollowed } from "./follow.ts";
import { interruption, unlessAborted } from "./interrupt.ts";
import { ownCommand } from "./invocation.ts";
import { secondsOfWait } from "./numbers.ts";

/** For a job whose config cannot be asked for: it was started by an earlier version, or no worker answers. */
export const waitLimitDefaultS = 1_800;

export interface WaitFlags {
  readonly timeout?: number;
}

/** Adds the flag that says how long to wait. */
export const withTimeout = (command: Command, derivation: string): Command =>
  command.option(
    "--timeout <seconds>",
    `wait at most so long, then exit 5; the job goes on (default: ${derivation})`,
    secondsOfWait,
  );

export interface Waiting {
  readonly client: PdjobClient;
  readonly job: string;
  readonly until: (status: JobStatus) => boolean;
  /** What is waited for, in words: `READY with decode=3`. */
  readonly goal: string;
  readonly timeoutS: number | undefined;
  /** How long it may take by the job's own config. */
  readonly limitOf: (spec: JobSpec) => number;
  readonly interrupted?: AbortSignal;
}

/**
 * Follows a job until `until` holds or it ends, and then until `last` is done. Exit 5 at the limit and 130 at Ctrl-C: both
 * leave the job alone.
 */
export async function waitFor(waiting: Waiting, last = async () => {}): Promise<JobStatus> {
  const { client, job, until, interrupted = interruption() } = waiting;
  const limitS = waiting.timeoutS ?? (await limitByConfig(waiting));
  const { signal, forget } = firstOf(interrupted, limitS * 1_000);
  let answer: JobStatus | ClientError | undefined;
  const onAnswer = (one: JobStatus | ClientError): void => void (answer = one);
  try {
    const status = await follow({ client, job, until, signal, onAnswer });
    const isDone =
      status &&
      (await unlessAborted(
        last().then(() => true),
        signal,
      ));
    if (status && isDone) return status;
    if (interrupted.aborted) throw new Exit(130, notFollowed(job));
    throw new Exit(5, atLimit(waiting, limitS, answer));
  } finally {
    forget();
  }
}

/** By hand, because `AbortSignal.any` may lose a timeout that nothing else holds. */
function firstOf(interrupted: AbortSignal, limitMs: number) {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const timer = setTimeout(abort, limitMs);
  if (interrupted.aborted) abort();
  interrupted.addEventListener("abort", abort, { once: true });
  const forget = (): void => {
    clearTimeout(timer);
    interrupted.removeEventListener("abort", abort);
  };
  return { signal: controller.signal, forget };
}

function atLimit(
  { job, goal }: Waiting,
  limitS: number,
  answer: JobStatus | ClientError | undefined,
): string {
  const state =
    answer instanceof ClientError
      ? `${answer.message} Then it goes on.`
      : `It goes on${answer ? `: ${doingOf(answer)}` : ""}.`;
  return `Job ${job} is not ${goal} after ${limitS} s, and is not waited for any longer (--timeout). ${state} Follow: ${ownCommand()} status ${job} --watch`;
}

async function limitByConfig({ client, job, limitOf }: Waiting): Promise<number> {
  const revisions = await client.revisions(job).catch((error: unknown) => {
    if (error instanceof ClientError) return [];
    throw error;
  });
  const spec = revisions.at(-1)?.spec;
  return spec ? limitOf(spec) : waitLimitDefaultS;
}
