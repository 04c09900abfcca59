import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { startGuarded } from "./guarded.ts";
import type { Guarded } from "./guarded.ts";
import { ownEnv } from "./own-env.ts";

const workerStopGraceS = 12;
/** A worker that dies at once is restarted ever more slowly. */
const backoffMinMs = 200;
const backoffMaxDefaultMs = 10_000;
const workerPath = fileURLToPath(new URL("../../bin/pdjob-worker", import.meta.url));

export interface WorkerKeeping {
  /** The program that is run as the worker, for tests of its death. Default: the worker. */
  readonly workerProgram?: string;
  /** A worker that keeps dying is restarted this late at most. Default 10 s. */
  readonly workerBackoffMaxMs?: number;
  /** Added to the worker's environment. */
  readonly workerEnv?: Readonly<Record<string, string>>;
  readonly onProgress?: (text: string) => void;
}

interface Where {
  readonly temporalAddress: string;
  readonly rayAddress: string;
  readonly taskQueue: string;
}

/** Runs a worker, and another one whenever it has died. Fails when the first one cannot be started. */
export async function keepWorker(where: Where, logDir: string, options: WorkerKeeping) {
  const { workerProgram = workerPath, workerEnv = {}, onProgress } = options;
  const { workerBackoffMaxMs = backoffMaxDefaultMs } = options;
  const argv = [process.execPath, workerProgram, ...workerFlags(where)];
  const env = { ...ownEnv(), ...workerEnv };
  const start = (): Promise<Guarded> =>
    startGuarded({ argv, env, cwd: "/", log: join(logDir, "worker.log") });
  const noneStarted = ({ message }: Error): void =>
    onProgress?.(`the worker could not be started, and is tried again: ${message}`);
  let current = await start();
  let stopping = false;

  async function supervise(): Promise<void> {
    let backoffMs = backoffMinMs;
    while (!stopping) {
      const startedMs = Date.now();
      await current.exited;
      if (Date.now() - startedMs > workerBackoffMaxMs) backoffMs = backoffMinMs;
      if (!stopping) await sleep(backoffMs);
      backoffMs = Math.min(backoffMs * 2, workerBackoffMaxMs);
      if (!stopping) current = (await start().catch(noneStarted)) ?? current;
      // Somebody may have asked for the end while it started.
      if (stopping) await current.stop(workerStopGraceS);
    }
  }
  const supervision = supervise();

  return {
    pid: () => (current.isRunning() ? current.pid : undefined),
    kill: () => void process.kill(current.pid, "SIGKILL"),
    async stop(): Promise<void> {
      stopping = true;
      await current.stop(workerStopGraceS);
      await supervision;
    },
  };
}

const workerFlags = ({ temporalAddress, rayAddress, taskQueue }: Where): readonly string[] => {
  const flags = { address: temporalAddress, "ray-address": rayAddress, "task-queue": taskQueue };
  return [
    "--no-profile",
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
  ];
};
