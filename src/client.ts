import {
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from "@temporalio/client";
import type { WorkflowHandle } from "@temporalio/client";
import { ClientError } from "./client/client-error.ts";
import { explain, serverGone } from "./client/errors.ts";
import { listJobs } from "./client/jobs.ts";
import type { JobList } from "./client/jobs.ts";
import { pendingFailures } from "./client/pending.ts";
import type { PendingFailure } from "./client/pending.ts";
import type { Server } from "./client/server.ts";
import { withRevisions } from "./client/revisions.ts";
import { workflowIdOf, workflowType } from "./domain/names.ts";
import type { Revision } from "./domain/revision.ts";
import type { ScaleRequest } from "./domain/scale.ts";
import type { JobSpec } from "./domain/spec.ts";
import type { JobStatus } from "./domain/status.ts";
import type { AbortRequest, UndoRequest } from "./domain/undo.ts";
import {
  abortUpdate,
  applyUpdate,
  pauseUpdate,
  restartUpdate,
  revisionsQuery,
  scaleUpdate,
  statusQuery,
  stopUpdate,
  undoUpdate,
} from "./workflows/messages.ts";
import type {
  AbortAnswer,
  ApplyAnswer,
  JobInput,
  JobResult,
  RestartAnswer,
  ScaleAnswer,
} from "./workflows/messages.ts";

/** A server that does not answer by then is called unreachable. */
const connectTimeoutMs = 5_000;
/** An answer that does not come by then has a reason that we look up. */
const answerTimeoutDefaultMs = 15_000;
/** How soon a server that is there says so. */
const probeTimeoutMs = 3_000;

/** How the server sees a job's workflow; unlike its status, this needs no worker and knows of a termination. */
export interface Execution {
  readonly state: string;
  /** Steps that are being retried, with why. */
  readonly failures: readonly PendingFailure[];
}

export type PdjobClient = Awaited<ReturnType<typeof connect>>;

export interface ConnectOptions {
  readonly server: Server;
  readonly taskQueue: string;
  /** Default 15 s. */
  readonly answerTimeoutMs?: number;
}

/** Connects to Temporal. Every call fails with a ClientError, or with what we do not know how to explain. */
export async function connect({
  server,
  taskQueue,
  answerTimeoutMs = answerTimeoutDefaultMs,
}: ConnectOptions) {
  const { address, namespace, connectionOptions } = server;
  const connection = await Connection.connect({
    ...connectionOptions,
    connectTimeout: connectTimeoutMs,
  }).catch((error: Error) => {
    const text = `No Temporal server answers at ${address}. Start one (pdjob-client dev), or name another with --address or TEMPORAL_ADDRESS.`;
    throw new ClientError("Unreachable", text, error);
  });
  const client = new Client({ connection, namespace });
  const handleOf = (job: string): WorkflowHandle => client.workflow.getHandle(workflowIdOf(job));

  /** Starts the job's workflow. Fails with AlreadyRunning. */
  async function start(spec: JobSpec): Promise<void> {
    const input: JobInput = { spec: withRevisions(spec) };
    const { prefill, decode } = spec.roles;
    const options = {
      args: [input],
      taskQueue,
      workflowId: workflowIdOf(spec.name),
      staticSummary: `${prefill.replicas} prefill + ${decode.replicas} decode`,
      memo: { phase: "DEPLOYING" },
    };
    await client.workflow.start(workflowType, options).catch((error: unknown) => {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw explain(error, server);
      const text = `Job ${spec.name} runs already. See pdjob-client status ${spec.name}; stop it first, or give this one another name.`;
      throw new ClientError("AlreadyRunning", text);
    });
  }

  /** Asks the job's workflow. Fails with NoSuchJob or NoWorker. */
  const status = (job: string): Promise<JobStatus> => ask(job, handleOf(job).query(statusQuery));

  const scale = (job: string, request: ScaleRequest): Promise<ScaleAnswer> => {
    const key = request.key ? { updateId: request.key } : {};
    return ask(job, handleOf(job).executeUpdate(scaleUpdate, { args: [request], ...key }));
  };

  /** Fails with Refused when that leaves a role without a replica that serves, unless `outage` accepts it. */
  const restart = (
    job: string,
    replica: string,
    { outage }: { readonly outage?: true } = {},
  ): Promise<RestartAnswer> => {
    const request = { replica, ...(outage ? { outage } : {}) };
    return ask(job, handleOf(job).executeUpdate(restartUpdate, { args: [request] }));
  };

  /** Fails with Refused when the job cannot be changed to it. `outage`: nothing serving for a while is accepted. */
  const apply = (
    spec: JobSpec,
    { outage }: { readonly outage?: true } = {},
  ): Promise<ApplyAnswer> => {
    const request = { spec: withRevisions(spec), ...(outage ? { outage } : {}) };
    return ask(spec.name, handleOf(spec.name).executeUpdate(applyUpdate, { args: [request] }));
  };

  const undo = (job: string, request: UndoRequest): Promise<ApplyAnswer> =>
    ask(job, handleOf(job).executeUpdate(undoUpdate, { args: [request] }));

  /** Fails with Refused when no change is under way. */
  const abort = (job: string, request: AbortRequest): Promise<AbortAnswer> =>
    ask(job, handleOf(job).executeUpdate(abortUpdate, { args: [request] }));

  const pause = (job: string, paused: boolean): Promise<{ readonly paused: boolean }> =>
    ask(job, handleOf(job).executeUpdate(pauseUpdate, { args: [{ paused }] }));

  /** The configs that the job had lately, the newest last. */
  const revisions = (job: string): Promise<readonly Revision[]> =>
    ask(job, handleOf(job).query(revisionsQuery));

  const stop = async (job: string): Promise<void> =>
    void (await ask(job, handleOf(job).executeUpdate(stopUpdate)));

  /** Ends the workflow on the spot: no code of ours runs, so what the job holds in Ray stays. */
  const terminate = async (job: string, reason: string): Promise<void> =>
    void (await ask(job, handleOf(job).terminate(reason)));

  /** Needs no worker. Fails with NoSuchJob. */
  async function look(job: string): Promise<Execution> {
    const { status: state, raw } = await ask(job, handleOf(job).describe());
    const failures = pendingFailures(raw.pendingActivities ?? [], Date.now());
    return { state: state.name, failures };
  }

  /** Does a workflow look after this job now? */
  async function isRunning(job: string): Promise<boolean> {
    try {
      return (await handleOf(job).describe()).status.name === "RUNNING";
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw explain(error, { ...server, job });
    }
  }

  /** Resolves when the job has ended; fails with JobFailed and the workflow's own reason. */
  async function result(job: string): Promise<JobResult> {
    try {
      return (await handleOf(job).result()) as JobResult;
    } catch (error) {
      throw explain(error, { ...server, job });
    }
  }

  const list = (limit: number): Promise<JobList> => ask(undefined, listJobs(client, limit));

  /** Workers that polled the task queue lately. */
  async function pollers(): Promise<number> {
    const { pollers: seen } = await ask(
      undefined,
      connection.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: taskQueue },
        taskQueueType: 1,
      }),
    );
    return seen?.length ?? 0;
  }

  async function serverVersion(): Promise<string> {
    const info = await ask(undefined, connection.workflowService.getSystemInfo({}));
    return info.serverVersion ?? "unknown";
  }

  /** Waits for an answer, not for ever, and says in our words why there is none. */
  async function ask<T>(job: string | undefined, asked: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), answerTimeoutMs);
    });
    const place = { ...server, ...(job === undefined ? {} : { job }) };
    try {
      const answer = await Promise.race([asked.then((value) => ({ value })), late]);
      if (answer !== "late") return answer.value;
      throw (await isThere())
        ? new ClientError("NoWorker", noWorker(taskQueue))
        : serverGone(place);
    } catch (error) {
      throw explain(error, place);
    } finally {
      clearTimeout(timer);
    }
  }

  const isThere = (): Promise<boolean> =>
    connection
      .withDeadline(Date.now() + probeTimeoutMs, () => connection.workflowService.getSystemInfo({}))
      .then(
        () => true,
        () => false,
      );

  return {
    address,
    namespace,
    taskQueue,
    start,
    status,
    scale,
    restart,
    apply,
    undo,
    abort,
    pause,
    revisions,
    stop,
    terminate,
    look,
    isRunning,
    result,
    list,
    pollers,
    serverVersion,
    close: () => connection.close(),
  };
}

const noWorker = (taskQueue: string): string =>
  `No worker answers on task queue ${taskQueue}. Start one on a machine of the Ray cluster: pdjob-worker --ray-address HOST:PORT --task-queue ${taskQueue}`;
