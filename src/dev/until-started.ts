import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Guarded } from "./guarded.ts";

const lookEveryMs = 100;
const tailBytesMax = 4_096;
const tailLinesMax = 12;

export interface Startup {
  /** `The Ray head`: begins the sentence that says what went wrong. */
  readonly what: string;
  readonly process: Guarded;
  readonly log: string;
  readonly isUp: () => Promise<boolean>;
  readonly timeoutMs: number;
  /** What to do, if the end of the log tells. */
  readonly fixFor?: (tail: string) => string | undefined;
  readonly signal: AbortSignal;
}

/** Waits until a process is up. One that ends or takes too long fails with the end of its log, and where the rest is. */
export async function untilStarted(startup: Startup): Promise<void> {
  const { what, process, isUp, timeoutMs, signal } = startup;
  const untilMs = Date.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    if (await isUp()) return;
    if (!process.isRunning()) throw failure(startup, `${what} ended while it started.`);
    if (Date.now() > untilMs)
      throw failure(startup, `${what} was not up after ${timeoutMs / 1_000} s.`);
    await sleep(lookEveryMs, undefined, { signal });
  }
}

function failure({ log, fixFor }: Startup, sentence: string): Error {
  const tail = tailOf(log);
  const fix = fixFor?.(tail);
  const end = tail === "" ? "It is empty." : `Its last lines:\n${tail}`;
  return new Error(`${sentence}${fix ? ` ${fix}` : ""} Its log: ${log}. ${end}`);
}

function tailOf(log: string): string {
  try {
    const file = openSync(log, "r");
    const { size } = fstatSync(file);
    const buffer = Buffer.alloc(Math.min(size, tailBytesMax));
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    closeSync(file);
    return buffer.toString().trimEnd().split("\n").slice(-tailLinesMax).join("\n");
  } catch {
    return ""; // Whatever ended before it wrote a line.
  }
}
