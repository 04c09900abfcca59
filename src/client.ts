import {
  CancelledFailure,
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from "@temporalio/client";
import type { WorkflowHandle } from "@temporalio/client";
import { loadClientConnectConfig } from "@temporalio/envconfig";
import { workflowIdOf, workflowType } from "./domain/names.ts";
import type { ScaleRequest } from "./domain/scale.ts";
import type { JobSpec } from "./domain/spec.ts";
import type { JobStatus } from "./domain/status.ts";
import type {
  JobInput,
  JobResult,
  RestartAnswer,
  RestartRequest,
  ScaleAnswer,
} from "./workflows/messages.ts";

/** A server that does not answer by then is called unreachable. */
const connectTimeout = "5 seconds";
/** A query or update that no worker takes by then means that none polls. */
const answerTimeoutMs = 15_000;

export interface ConnectOptions {
  /** `host:port`; default: the `temporal` CLI's variables and config file, else `fallbackAddress`. */
  readonly address?: string;
  readonly namespace?: string;
  readonly profile?: string;
  readonly taskQueue: string;
  /** Used when neither flag nor profile names a server. */
  readonly fallbackAddress: string;
}

export type ClientErrorCode =
  | "Unreachable"
  | "NoSuchJob"
  | "AlreadyRunning"
  | "NoWorker"
  | "Refused"
  | "JobFailed";

/** What can go wrong between us and a job, as a code and a sentence that says what to do. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export interface JobSummary {
  readonly job: string;
  readonly phase: string;
  readonly startedAt: string;
  readonly closedAt?: string;
}

export interface PendingFailure {
  readonly activity: string;
  readonly attempt: number;
  readonly message: string;
}

export type PdjobClient = Awaited<ReturnType<typeof connect>>;

/** Connects to Temporal, with the same settings as the `temporal` CLI. Fails with Unreachable. */
export async function connect({
  address,
  namespace,
  profile,
  taskQueue,
  fallbackAddress,
}: ConnectOptions) {
  const settings = loadClientConnectConfig(profile === undefined ? {} : { profile });
  const target = address ?? settings.connectionOptions.address ?? fallbackAddress;
  const connection = await Connection.connect({
    ...settings.connectionOptions,
    address: target,
    connectTimeout,
  }).catch((error: Error) => {
    const text = `No Temporal server answers at ${target}. Start one (pdjob-client dev), or name another with --address or TEMPORAL_ADDRESS.`;
    throw new ClientError("Unreachable", text, error);
  });
  const client = new Client({
    connection,
    namespace: namespace ?? settings.namespace ?? "default",
  });
  const handleOf = (job: string): WorkflowHandle => client.workflow.getHandle(workflowIdOf(job));

  /** Starts the job's workflow. Fails with AlreadyRunning. */
  async function start(spec: JobSpec): Promise<void> {
    const input: JobInput = { spec };
    const { prefill, decode } = spec.roles;
    const options = {
      args: [input],
      taskQueue,
      workflowId: workflowIdOf(spec.name),
      staticSummary: `${prefill.replicas} prefill + ${decode.replicas} decode`,
      memo: { phase: "DEPLOYING" },
    };
    await client.workflow.start(workflowType, options).catch((error: unknown) => {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const text = `Job ${spec.name} runs already. See pdjob-client status ${spec.name}; stop it first, or give this one another name.`;
      throw new ClientError("AlreadyRunning", text);
    });
  }

  /** Asks the job's workflow. Fails with NoSuchJob or NoWorker. */
  const status = (job: string): Promise<JobStatus> =>
    bounded(job, handleOf(job).query<JobStatus>("status"));

  const scale = (job: string, request: ScaleRequest): Promise<ScaleAnswer> =>
    bounded(
      job,
      handleOf(job).executeUpdate<ScaleAnswer, [ScaleRequest]>("scale", {
        args: [request],
        ...(request.key ? { updateId: request.key } : {}),
      }),
    );

  const restart = (job: string, replica: string): Promise<RestartAnswer> =>
    bounded(
      job,
      handleOf(job).executeUpdate<RestartAnswer, [RestartRequest]>("restartReplica", {
        args: [{ replica }],
      }),
    );

  /** Does a workflow look after this job now? */
  async function isRunning(job: string): Promise<boolean> {
    try {
      return (await handleOf(job).describe()).status.name === "RUNNING";
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  }

  const stop = async (job: string): Promise<void> =>
    void (await bounded(job, handleOf(job).executeUpdate<unknown, []>("stop")));

  /** Resolves when the job has ended; fails with JobFailed and the workflow's own reason. */
  async function result(job: string): Promise<JobResult> {
    try {
      return (await handleOf(job).result()) as JobResult;
    } catch (error) {
      if (error instanceof WorkflowFailedError)
        throw new ClientError("JobFailed", reasonOf(job, error), error);
      throw explain(job, error);
    }
  }

  async function list(): Promise<readonly JobSummary[]> {
    const jobs: JobSummary[] = [];
    for await (const one of client.workflow.list({ query: `WorkflowType = "${workflowType}"` })) {
      const closed = one.status.name !== "RUNNING";
      const phase = closed ? one.status.name : String(one.memo?.["phase"] ?? "RUNNING");
      const closedAt = one.closeTime ? { closedAt: one.closeTime.toISOString() } : {};
      jobs.push({
        job: one.workflowId.replace(/^pdjob-/, ""),
        phase,
        startedAt: one.startTime.toISOString(),
        ...closedAt,
      });
    }
    return jobs;
  }

  /** Steps that are being retried, with why. */
  async function pendingFailures(job: string): Promise<readonly PendingFailure[]> {
    const { raw } = await handleOf(job).describe();
    return (raw.pendingActivities ?? []).flatMap(({ activityType, attempt, lastFailure }) =>
      lastFailure?.message
        ? [
            {
              activity: activityType?.name ?? "",
              attempt: attempt ?? 0,
              message: lastFailure.message,
            },
          ]
        : [],
    );
  }

  /** Workers that polled the task queue lately. */
  async function pollers(): Promise<number> {
    const request = {
      namespace: client.options.namespace,
      taskQueue: { name: taskQueue },
      taskQueueType: 1,
    };
    const { pollers: seen } = await connection.workflowService.describeTaskQueue(request);
    return seen?.length ?? 0;
  }

  async function serverVersion(): Promise<string> {
    return (await connection.workflowService.getSystemInfo({})).serverVersion ?? "unknown";
  }

  async function bounded<T>(job: string, asked: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new ClientError("NoWorker", noWorker(taskQueue))),
        answerTimeoutMs,
      );
    });
    try {
      return await Promise.race([asked, late]);
    } catch (error) {
      throw explain(job, error);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    address: target,
    namespace: client.options.namespace,
    start,
    status,
    scale,
    restart,
    isRunning,
    stop,
    result,
    list,
    pendingFailures,
    pollers,
    serverVersion,
    close: () => connection.close(),
  };
}

const noWorker = (taskQueue: string): string =>
  `No worker answers on task queue ${taskQueue}. Start one on a machine of the Ray cluster: pdjob-worker --ray-address HOST:PORT --task-queue ${taskQueue}`;

/** A cancelled workflow's own words do not reach the client, so they are repeated here. */
function reasonOf(job: string, { cause, message }: WorkflowFailedError): string {
  if (cause instanceof CancelledFailure)
    return `Job ${job} was cancelled; everything of it is released.`;
  return cause?.message ?? message;
}

/** Temporal's errors as ours; what we do not know stays as it is. */
function explain(job: string, error: unknown): unknown {
  if (error instanceof ClientError) return error;
  if (error instanceof WorkflowUpdateFailedError)
    return new ClientError("Refused", error.cause?.message ?? error.message, error);
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (/already completed/i.test(text))
    return new ClientError("NoSuchJob", `Job ${job} has ended already.`, error);
  if (/NotFound|not found/i.test(text))
    return new ClientError("NoSuchJob", `There is no job ${job}. See pdjob-client list.`, error);
  return error;
}
