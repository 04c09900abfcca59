import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { defaultTaskQueue } from "../domain/names.ts";
import { startGuarded } from "./guarded.ts";
import type { Guarded } from "./guarded.ts";
import { freePort } from "./ports.ts";
import { startRay } from "./ray.ts";
import type { RayNode } from "./ray.ts";
import { defaultStateDir, readDevState, removeDevState, writeDevState } from "./state-file.ts";
import { startTemporal } from "./temporal.ts";

const workerStopGraceS = 12;
const temporalStopGraceS = 5;
/** A worker that dies at once is restarted ever more slowly. */
const workerBackoffMaxMs = 10_000;
const wantedPort = 7_233;
const wantedUiPort = 8_233;
const workerPath = fileURLToPath(new URL("../../dist/worker.js", import.meta.url));

export interface StackOptions {
  /** Simulated-GPU nodes beside the head. Default 2. */
  readonly nodes?: number;
  readonly gpusPerNode?: number;
  readonly cpusPerNode?: number;
  readonly port?: number;
  readonly uiPort?: number;
  readonly stateDir?: string;
  /** The program that is run as the worker, for tests of its death. Default: the worker. */
  readonly workerProgram?: string;
  /** Added to the worker's environment. */
  readonly workerEnv?: Readonly<Record<string, string>>;
  readonly onProgress?: (text: string) => void;
}

export interface Stack {
  readonly temporalAddress: string;
  readonly namespace: string;
  readonly uiUrl: string;
  readonly rayAddress: string;
  readonly taskQueue: string;
  readonly logDir: string;
  readonly head: RayNode;
  readonly nodes: readonly RayNode[];
  /** The worker's process, as it is now: it is restarted when it dies. */
  workerPid(): number | undefined;
  /** SIGKILL, to see what survives. It is restarted as after any death. */
  killWorker(): void;
  /** Stops everything; nothing of it is left when this resolves. */
  stop(): Promise<void>;
}

/** Temporal, Ray and a worker on this machine, for trying things out and for tests. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { onProgress = () => undefined, stateDir = defaultStateDir() } = options;
  const running = readDevState(stateDir);
  if (running)
    throw new Error(
      `An embedded stack runs already (pid ${running.pid}, Web UI ${running.uiUrl}). Use it, stop it, or give another --state-dir.`,
    );
  const logDir = join(stateDir, "logs");
  mkdirSync(logDir, { recursive: true });
  const port = await freePort(options.port ?? wantedPort);
  const uiPort = await freePort(options.uiPort ?? wantedUiPort, new Set([port]));
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    removeDevState(stateDir);
    for (const one of stops.splice(0).toReversed()) await one();
  };
  try {
    // Both wait more than they compute, so they start side by side.
    const [temporal, ray] = await allOrNone([
      startTemporal({ stateDir, logDir, port, uiPort }).then((server) => {
        stops.unshift(() => server.stop(temporalStopGraceS));
        onProgress(`Temporal at 127.0.0.1:${port}, Web UI at http://127.0.0.1:${uiPort}`);
        return server;
      }),
      startRay({
        nodes: options.nodes ?? 2,
        gpusPerNode: options.gpusPerNode ?? 8,
        cpusPerNode: options.cpusPerNode ?? 4,
        logDir,
        onProgress,
      }).then((one) => {
        stops.push(one.stop);
        return one;
      }),
    ]);
    void temporal;
    const where = {
      temporalAddress: `127.0.0.1:${port}`,
      namespace: "default",
      uiUrl: `http://127.0.0.1:${uiPort}`,
      rayAddress: ray.address,
      taskQueue: defaultTaskQueue,
    };
    const worker = await keepWorker(where, logDir, options);
    stops.push(worker.stop);
    onProgress(`worker on task queue ${defaultTaskQueue}`);
    writeDevState({ pid: process.pid, ...where }, stateDir);
    return {
      ...where,
      logDir,
      head: ray.head,
      nodes: ray.nodes,
      workerPid: worker.pid,
      killWorker: worker.kill,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Promise.all that waits for everybody, so that what did start can be stopped. */
async function allOrNone<A, B>([a, b]: [Promise<A>, Promise<B>]): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return Promise.all([a, b]);
}

async function keepWorker(
  where: { temporalAddress: string; rayAddress: string; taskQueue: string },
  logDir: string,
  { workerProgram = workerPath, workerEnv = {} }: StackOptions,
) {
  const argv = [
    process.execPath,
    workerProgram,
    "--address",
    where.temporalAddress,
    "--ray-address",
    where.rayAddress,
    "--task-queue",
    where.taskQueue,
  ];
  const env = { ...process.env, ...workerEnv };
  const start = (): Promise<Guarded> =>
    startGuarded({ argv, env, cwd: "/", log: join(logDir, "worker.log") });
  let current = await start();
  let stopping = false;

  async function supervise(): Promise<void> {
    for (let backoffMs = 200; ; backoffMs = Math.min(backoffMs * 2, workerBackoffMaxMs)) {
      const startedMs = Date.now();
      await current.exited;
      if (stopping) return;
      if (Date.now() - startedMs > workerBackoffMaxMs) backoffMs = 200;
      await sleep(backoffMs);
      if (stopping) return;
      current = await start();
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
