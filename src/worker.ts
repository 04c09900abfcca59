import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadClientConnectConfig } from "@temporalio/envconfig";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { pino } from "pino";
import { createActivities } from "./activities/index.ts";
import { conductActivity } from "./activities/conduct.ts";
import { defaultTaskQueue } from "./domain/names.ts";
import { connectAgent } from "./ray/agent.ts";

export interface WorkerOptions {
  readonly temporal: { readonly address: string; readonly namespace: string };
  readonly taskQueue: string;
  readonly rayAddress: string;
  readonly python?: string;
}

/** How long running activities may end by themselves when the worker is told to stop. */
const shutdownGraceTime = "5 seconds";
const shutdownForceTime = "10 seconds";
/** After a worker died, how soon its jobs' workflow tasks go to another one. */
const stickyTimeout = "3 seconds";
/** Each job keeps one activity slot for its watch, and a few for its actions. */
const activitiesMax = 400;

/** Connects to Temporal and Ray's agent, and polls until `shutdown`. Wiring only. */
export async function startWorker({ temporal, taskQueue, rayAddress, python }: WorkerOptions) {
  const log = pino({ base: { worker: process.pid } }, pino.destination(2));
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
  const connection = await NativeConnection.connect({ address: temporal.address });
  const worker = await Worker.create({
    connection,
    namespace: temporal.namespace,
    taskQueue,
    ...workflowCode(),
    activities: createActivities({
      agent,
      readProxyProgram: () => readFile(pathOf("dist/pdjob-proxy.mjs"), "utf8"),
    }),
    interceptors: { activity: [conductActivity] },
    maxConcurrentActivityTaskExecutions: activitiesMax,
    maxHeartbeatThrottleInterval: "1 second",
    defaultHeartbeatThrottleInterval: "1 second",
    stickyQueueScheduleToStartTimeout: stickyTimeout,
    shutdownGraceTime,
    shutdownForceTime,
  });
  const run = worker.run().finally(async () => {
    await agent.close();
    await connection.close();
  });
  return { run, shutdown: () => worker.shutdown() };
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

const usage = `Usage: pdjob-worker --ray-address HOST:PORT [options]

Polls Temporal for the steps of PD jobs and performs them on a Ray cluster. Run it on a machine of that cluster.

  --ray-address HOST:PORT  the cluster's GCS (default: RAY_ADDRESS)
  --address HOST:PORT      Temporal (default: TEMPORAL_ADDRESS, the temporal CLI's config file, or 127.0.0.1:7233)
  --namespace NAME         Temporal namespace (default: default)
  --task-queue NAME        default: ${defaultTaskQueue}
  --python PATH            a Python that has the cluster's Ray version (default: PDJOB_PYTHON, .venv, python3)

Example: pdjob-worker --ray-address 10.0.0.4:6379
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      "ray-address": { type: "string" },
      address: { type: "string" },
      namespace: { type: "string" },
      "task-queue": { type: "string", default: defaultTaskQueue },
      python: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const rayAddress = values["ray-address"] ?? process.env["RAY_ADDRESS"];
  if (!rayAddress || rayAddress === "auto") {
    process.stderr.write(
      `Which Ray cluster? Give --ray-address HOST:PORT or set RAY_ADDRESS (never "auto": it may find another cluster).\n\n${usage}`,
    );
    process.exit(2);
  }
  const profile = loadClientConnectConfig();
  const worker = await startWorker({
    temporal: {
      address: values.address ?? profile.connectionOptions.address ?? "127.0.0.1:7233",
      namespace: values.namespace ?? profile.namespace ?? "default",
    },
    taskQueue: values["task-queue"],
    rayAddress,
    ...(values.python ? { python: values.python } : {}),
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, worker.shutdown);
  process.stderr.write(
    `pdjob-worker ${process.pid} polls task queue ${values["task-queue"]}, Ray at ${rayAddress}\n`,
  );
  await worker.run;
}

if (
  process.argv[1] !== undefined &&
  /(^|[/\\])(worker\.[jt]s|pdjob-worker)$/.test(process.argv[1])
) {
  await main().catch((error: Error) => {
    process.stderr.write(`pdjob-worker: ${error.message}\n`);
    process.exit(1);
  });
}
