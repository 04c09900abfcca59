import { join } from "node:path";
import { defaultTaskQueue } from "../domain/names.ts";
import type { Guarded } from "./guarded.ts";
import { keepWorker } from "./keep-worker.ts";
import type { WorkerKeeping } from "./keep-worker.ts";
import { takeLock } from "./lock.ts";
import { claimPort, collectClaims } from "./ports.ts";
import { startRay } from "./ray.ts";
import type { LocalRay, RayNode } from "./ray.ts";
import {
  defaultStateDir,
  makeLogDir,
  readDevState,
  removeDevState,
  writeDevState,
} from "./state-file.ts";
import { collectTempDirs } from "./temp-dirs.ts";
import { startTemporal } from "./temporal.ts";
import { untilPolled } from "./until-polled.ts";

const temporalStopGraceS = 5;
const wantedPort = 7_233;
const wantedUiPort = 8_233;

export interface StackOptions extends WorkerKeeping {
  /** Simulated-GPU nodes beside the head. Default 2. */
  readonly nodes?: number;
  readonly gpusPerNode?: number;
  readonly cpusPerNode?: number;
  readonly port?: number;
  readonly uiPort?: number;
  readonly stateDir?: string;
  /** Jobs are not kept for the next stack. Default: they are, in the state folder. */
  readonly inMemory?: boolean;
  /** Ends a start that is under way: what has started is stopped, then it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Ray's tables survive its head, for tests of its death. */
  readonly keepTables?: boolean;
}

export interface Stack {
  readonly temporalAddress: string;
  readonly namespace: string;
  readonly uiUrl: string;
  readonly rayAddress: string;
  readonly taskQueue: string;
  readonly stateDir: string;
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
  const { stateDir = defaultStateDir() } = options;
  const logDir = makeLogDir(stateDir);
  const lock = takeLock(join(stateDir, "dev.lock"));
  if (!lock.taken) throw new Error(alreadyRuns(stateDir, lock.holder.pid));
  collectTempDirs();
  collectClaims();
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    removeDevState(stateDir);
    for (const one of stops.splice(0).toReversed()) await one();
    lock.release();
  };
  try {
    return { ...(await bringUp(options, { stateDir, logDir }, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function alreadyRuns(stateDir: string, pid: number): string {
  const running = readDevState(stateDir);
  const what = running
    ? `An embedded stack runs already (pid ${running.pid}, Web UI ${running.uiUrl}). Use it, stop it`
    : `Another embedded stack starts or stops in ${stateDir} at this moment (pid ${pid}). Wait for it`;
  return `${what}, or give another --state-dir.`;
}

/** What has started is put on `stops`, in the order in which it must not be stopped. */
async function bringUp(
  options: StackOptions,
  { stateDir, logDir }: Pick<Stack, "stateDir" | "logDir">,
  stops: (() => Promise<void>)[],
): Promise<Omit<Stack, "stop">> {
  const { onProgress = () => undefined } = options;
  const claim = async (wanted: number): Promise<number> => {
    const { port, release } = await claimPort(wanted);
    stops.push(async () => release());
    return port;
  };
  const port = await claim(options.port ?? wantedPort);
  const uiPort = await claim(options.uiPort ?? wantedUiPort);
  const where = { temporalAddress: `127.0.0.1:${port}`, uiUrl: `http://127.0.0.1:${uiPort}` };
  const serveTemporal = async (signal: AbortSignal): Promise<void> => {
    const onStarted = (server: Guarded) => stops.unshift(() => server.stop(temporalStopGraceS));
    const { inMemory = false } = options;
    await startTemporal({ stateDir, inMemory, logDir, port, uiPort, onStarted, signal });
    onProgress(`Temporal at ${where.temporalAddress}, Web UI at ${where.uiUrl}`);
  };
  const serveRay = async (signal: AbortSignal): Promise<LocalRay> => {
    const { nodes = 2, gpusPerNode = 8, cpusPerNode = 4, keepTables = false } = options;
    const size = { nodes, gpusPerNode, cpusPerNode, keepTables };
    const ray = await startRay({ ...size, logDir, onProgress, signal });
    stops.push(ray.stop);
    tellOfEnds(ray, onProgress, () => !stops.includes(ray.stop));
    return ray;
  };
  const ray = await sideBySide(serveTemporal, serveRay, options.signal);
  const addresses = { ...where, namespace: "default", rayAddress: ray.address };
  const found = { ...addresses, taskQueue: defaultTaskQueue };
  const worker = await keepWorker(found, logDir, options);
  stops.push(worker.stop);
  const polls = await untilPolled(where.temporalAddress, defaultTaskQueue, options.signal);
  onProgress(
    polls
      ? `worker on task queue ${defaultTaskQueue}`
      : `the worker has not asked for work yet: see ${join(logDir, "worker.log")}`,
  );
  options.signal?.throwIfAborted();
  writeDevState(found, stateDir);
  const { head, nodes } = ray;
  return {
    ...found,
    stateDir,
    logDir,
    head,
    nodes,
    workerPid: worker.pid,
    killWorker: worker.kill,
  };
}

/** Nothing here starts them again: what ran on them goes to other nodes, and without the head nothing goes on. */
function tellOfEnds(
  { head, nodes }: LocalRay,
  tell: (text: string) => void,
  isStopping: () => boolean,
): void {
  for (const { ip, process: node } of [head, ...nodes])
    void node.exited.then(() => {
      if (isStopping()) return;
      tell(
        ip === head.ip
          ? `Ray's head ${ip} has ended, and with it this cluster: stop the stack, and start another`
          : `the Ray node ${ip} has ended, and its engines with it`,
      );
    });
}

/** Both wait more than they compute. When one fails the other is told to end, so that what did start can be stopped. */
async function sideBySide<T>(
  one: (signal: AbortSignal) => Promise<void>,
  other: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const failed = new AbortController();
  const either = AbortSignal.any([failed.signal, ...(signal ? [signal] : [])]);
  const endBoth = (error: unknown): never => {
    failed.abort(error);
    throw error;
  };
  const both = [one(either).catch(endBoth), other(either).catch(endBoth)] as const;
  await Promise.allSettled(both);
  either.throwIfAborted();
  return both[1];
}
