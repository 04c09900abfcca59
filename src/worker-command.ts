import { parseArgs } from "node:util";
import { ClientError } from "./client/client-error.ts";
import { defaultAddress, findServer, plainServer } from "./client/server.ts";
import type { Server } from "./client/server.ts";
import { defaultTaskQueue } from "./domain/names.ts";
import { isClusterAddress, whichCluster } from "./ray/agent.ts";
import { startWorker } from "./worker.ts";
import type { WorkerOptions } from "./worker.ts";

const usage = `Usage: pdjob-worker --ray-address HOST:PORT [options]

Polls Temporal for the steps of PD jobs and performs them on a Ray cluster. Run it on a machine of that cluster.

  --ray-address HOST:PORT  the cluster's GCS (default: RAY_ADDRESS)
  --address HOST:PORT      Temporal (default: TEMPORAL_ADDRESS, the temporal CLI's config file, or ${defaultAddress})
  --namespace NAME         Temporal namespace (default: the profile's, or default)
  --profile NAME           profile of the temporal CLI's config file, TLS and API key included
  --no-profile             use nothing of that file and of the TEMPORAL_* variables
  --task-queue NAME        default: ${defaultTaskQueue}
  --python PATH            a Python that has the cluster's Ray version (default: PDJOB_PYTHON, .venv, python3)

Exit codes: 0 stopped by a signal, 1 failed, 2 usage or invalid settings, 3 Temporal unreachable.

Example: pdjob-worker --ray-address 10.0.0.4:6379
`;

/** What tests put around the worker's work. */
type Breakage = Pick<WorkerOptions, "interceptors" | "wrapAgent" | "override">;

/** The program: reads its arguments, polls until a signal, and ends the process. */
export async function runWorkerCommand(extra: Breakage = {}): Promise<void> {
  // A full disk costs lines of the log, and no step of a job.
  process.stderr.on("error", () => undefined);
  try {
    await run(process.argv.slice(2), extra);
    process.exit(0);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`pdjob-worker: ${text}\n`);
    process.exit(exitCodeOf(error));
  }
}

async function run(words: readonly string[], extra: Breakage) {
  const flags = read(words);
  if (flags.help) return void process.stdout.write(usage);
  const rayAddress = flags["ray-address"] ?? process.env["RAY_ADDRESS"];
  if (!isClusterAddress(rayAddress)) throw new UsageError(whichCluster);
  const taskQueue = flags["task-queue"];
  const python = flags.python === undefined ? {} : { python: flags.python };
  const worker = await startWorker({
    server: serverOf(flags),
    taskQueue,
    rayAddress,
    ...python,
    ...extra,
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, worker.shutdown);
  process.stderr.write(
    `pdjob-worker ${process.pid} polls task queue ${taskQueue}, Ray at ${rayAddress}\n`,
  );
  await worker.run;
}

function read(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        "ray-address": { type: "string" },
        address: { type: "string" },
        namespace: { type: "string" },
        profile: { type: "string" },
        "no-profile": { type: "boolean", default: false },
        "task-queue": { type: "string", default: defaultTaskQueue },
        python: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

const serverOf = (flags: ReturnType<typeof read>): Server =>
  flags["no-profile"]
    ? plainServer(flags.address ?? defaultAddress, flags.namespace)
    : findServer(flags);

class UsageError extends Error {
  constructor(problem: string) {
    super(`${problem}\n\n${usage}`.trimEnd());
  }
}

function exitCodeOf(error: unknown): 1 | 2 | 3 {
  if (error instanceof UsageError) return 2;
  if (!(error instanceof ClientError)) return 1;
  return error.code === "Unreachable" ? 3 : 2;
}
