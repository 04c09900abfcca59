import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import type { ActivityInterceptorsFactory, WorkerOptions as SdkOptions } from "@temporalio/worker";
import { pino } from "pino";
import { createActivities } from "./activities/index.ts";
import { conductActivity } from "./activities/conduct.ts";
import { ClientError } from "./client/client-error.ts";
import type { Server } from "./client/server.ts";
import { connectAgent } from "./ray/agent.ts";
import type { Agent } from "./ray/agent.ts";

export interface WorkerOptions {
  readonly server: Server;
  readonly taskQueue: string;
  readonly rayAddress: string;
  readonly python?: string;
  /** Run inside our own around every activity, and around every call of the agent: for tests that break things there. */
  readonly interceptors?: readonly ActivityInterceptorsFactory[];
  readonly wrapAgent?: (agent: Agent) => Agent;
  /** Over our own settings of the SDK's worker, for the same tests. */
  readonly override?: Pick<SdkOptions, "workflowBundle" | "maxCachedWorkflows">;
}

/** A server that does not answer by then is called unreachable. */
const connectTimeoutMs = 10_000;

/** How long running activities may end by themselves when the worker is told to stop. */
const shutdownGraceTime = "5 seconds";
const shutdownForceTime = "10 seconds";
/** After a worker died, how soon its jobs' workflow tasks go to another one. */
const stickyTimeout = "3 seconds";
/** Each job keeps one activity slot for its watch, and a few for its actions. */
const activitiesMax = 400;

/** Connects to Temporal and Ray's agent, and polls until `shutdown`. Wiring only. Fails with Unreachable. */
export async function startWorker(options: WorkerOptions) {
  const { server, taskQueue, rayAddress, python, interceptors = [], wrapAgent = same } = options;
  // Through Node's stream: pino's own would try a full disk again and again, and never let the process end.
  const toStderr = { write: (line: string) => void process.stderr.write(line) };
  const log = pino({ base: { worker: process.pid } }, toStderr);
  Runtime.install({
    logger: new DefaultLogger("WARN", ({ level, message, meta }) =>
      log[pinoLevel(level)]({ ...meta }, message),
    ),
    shutdownSignals: [],
  });
  const agent = connectAgent({
    rayAddress,
    ...(python ? { python } : {}),
    onLog: (line) => log.debug({ from: "agent" }, line),
  });
  const connection = await connectTo(server);
  const worker = await Worker.create({
    connection,
    namespace: server.namespace,
    taskQueue,
    ...workflowCode(),
    activities: createActivities({
      agent: wrapAgent(agent),
      readProxyProgram: () => readFile(pathOf("dist/pdjob-proxy.mjs"), "utf8"),
    }),
    interceptors: { activity: [conductActivity, ...interceptors] },
    maxConcurrentActivityTaskExecutions: activitiesMax,
    maxHeartbeatThrottleInterval: "1 second",
    defaultHeartbeatThrottleInterval: "1 second",
    stickyQueueScheduleToStartTimeout: stickyTimeout,
    shutdownGraceTime,
    shutdownForceTime,
    ...options.override,
  });
  const run = worker.run().finally(async () => {
    await agent.close();
    await connection.close();
  });
  return { run, shutdown: () => worker.shutdown() };
}

const same = (agent: Agent): Agent => agent;

/** The native client itself waits for ever for a server that accepts a connection and then says nothing. */
async function connectTo({ address, connectionOptions }: Server): Promise<NativeConnection> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new Error(`no answer within ${connectTimeoutMs / 1_000} s`);
    timer = setTimeout(() => reject(error), connectTimeoutMs);
  });
  try {
    return await Promise.race([NativeConnection.connect(connectionOptions), late]);
  } catch (error) {
    const text = `No Temporal server answers at ${address}. Start it, or name another with --address, --profile or TEMPORAL_ADDRESS.`;
    throw new ClientError("Unreachable", text, error);
  } finally {
    clearTimeout(timer);
  }
}

const pathOf = (relative: string): string =>
  fileURLToPath(new URL(`../${relative}`, import.meta.url));

/** Built beforehand where the project was built; else bundled now, which takes a second or two. */
function workflowCode() {
  const bundle = pathOf("dist/workflow-bundle.js");
  return existsSync(bundle)
    ? { workflowBundle: { codePath: bundle } }
    : { workflowsPath: pathOf("dist/workflows/index.js") };
}

const pinoLevel = (level: string): "debug" | "info" | "warn" | "error" =>
  level === "ERROR" ? "error" : level === "WARN" ? "warn" : level === "INFO" ? "info" : "debug";
