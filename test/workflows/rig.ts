import { fileURLToPath } from "node:url";
import { TestWorkflowEnvironment } from "@temporalio/testing";
import { DefaultLogger, Runtime, Worker, bundleWorkflowCode } from "@temporalio/worker";
import type { WorkflowBundleWithSourceMap } from "@temporalio/worker";
import { Context } from "@temporalio/activity";
import type { WorkflowHandle } from "@temporalio/client";
import { afterAll, beforeAll } from "vitest";
import { busyTargets, digestOf } from "../../src/activities/digest.ts";
import type { Activities } from "../../src/activities/index.ts";
import type { Action } from "../../src/domain/action.ts";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import { reconcile } from "../../src/plan/reconcile.ts";
import type { Plan } from "../../src/domain/plan.ts";
import { workflowIdOf, workflowType } from "../../src/domain/names.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobInput } from "../../src/workflows/messages.ts";
import { fakeCluster, resultOf } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

Runtime.install({
  logger: new DefaultLogger("ERROR"),
  shutdownSignals: [],
  telemetryOptions: { logging: { filter: "ERROR", forward: {} } },
});

export const taskQueue = "pdjob-test";
export const workflowsPath = fileURLToPath(
  new URL("../../src/workflows/index.ts", import.meta.url),
);

/** On a machine that does a lot besides. */
const setUpTimeoutMs = 240_000;

/** A server, and the workflow as workers run it. */
interface Stage {
  readonly env: TestWorkflowEnvironment;
  readonly workflowBundle: WorkflowBundleWithSourceMap;
}

/** One for all tests of the file that calls this at its top. */
export function createStage(): Stage {
  let stage: Stage | undefined;
  const made = (): Stage => {
    if (!stage) throw new Error("the stage is there once the tests run");
    return stage;
  };
  beforeAll(async () => {
    const [env, workflowBundle] = await Promise.all([startServer(), bundle()]);
    stage = { env, workflowBundle };
  }, setUpTimeoutMs);
  afterAll(async () => stage?.env.teardown());
  return {
    get env() {
      return made().env;
    },
    get workflowBundle() {
      return made().workflowBundle;
    },
  };
}

/** As the client starts it. */
export const startJob = ({ env }: Stage, input: JobInput): Promise<WorkflowHandle> =>
  env.client.workflow.start(workflowType, {
    args: [input],
    taskQueue,
    workflowId: workflowIdOf(input.spec.name),
  });

export const bundle = (): Promise<WorkflowBundleWithSourceMap> =>
  bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger("ERROR") });

/** A real Temporal dev server, in memory. */
export async function startServer(): Promise<TestWorkflowEnvironment> {
  const { path } = await findTemporal();
  const server = {
    executable: { type: "existing-path", path },
    log: { format: "pretty", level: "error" },
  } as const;
  // The SDK gives it 5 s, which a busy machine needs.
  return eventually("a Temporal dev server", () => TestWorkflowEnvironment.createLocal({ server }));
}

/** A worker whose activities act on a cluster in memory; the policy and the workflow are the real ones. */
export async function startFakeWorker(
  { env, workflowBundle }: Stage,
  spec: JobSpec,
  happenings: Happenings = {},
) {
  const cluster = fakeCluster(spec);
  const worker = await Worker.create({
    connection: env.nativeConnection,
    taskQueue,
    workflowBundle,
    ...(happenings.debugMode ? { debugMode: true } : {}),
    activities: fakeActivities(cluster, happenings) as object,
  });
  return { cluster, worker };
}

/** What may come between an activity and the cluster; a thrown error is the activity's. */
interface Happenings {
  readonly before?: (action: Action) => void | Promise<void>;
  readonly beforeLook?: () => void;
  readonly afterPlan?: (plan: Plan) => Promise<void>;
  /** A watch ends by itself after this long. Default: never. */
  readonly watchMs?: number;
  /** Runs workflow code in this thread: in vitest's, the SDK's time limit for a step would end thousands of messages at once. */
  readonly debugMode?: boolean;
}

interface Performed {
  readonly spec: JobSpec;
  readonly action: Action;
}

function fakeActivities(
  cluster: ReturnType<typeof fakeCluster>,
  { before, beforeLook, afterPlan, watchMs = Number.POSITIVE_INFINITY }: Happenings,
): Activities {
  const performed = async ({ spec, action }: Performed): Promise<never> => {
    await beating(() => before?.(action));
    cluster.state.spec = spec;
    cluster.apply(action);
    return resultOf(action) as never;
  };
  const beating = async (wait: () => void | Promise<void>): Promise<void> => {
    const timer = setInterval(() => Context.current().heartbeat(), 100);
    try {
      await wait();
    } finally {
      clearInterval(timer);
    }
  };
  return {
    planTurn: async (input) => {
      beforeLook?.();
      const { observed } = cluster.state;
      const plan = reconcile({ ...input, observed, nowMs: Date.now() });
      await beating(() => afterPlan?.(plan));
      const busy = busyTargets(input.inFlight, plan.actions);
      return { plan, digest: digestOf(observed, busy), busy };
    },
    watchJob: async ({ digest, busy }) => {
      const untilMs = Date.now() + watchMs;
      while (digestOf(cluster.state.observed, busy) === digest) {
        if (Date.now() > untilMs) return { changed: false };
        Context.current().heartbeat();
        await Context.current().sleep(50);
      }
      return { changed: true };
    },
    uploadFiles: performed,
    probeEngine: performed,
    reservePlacementGroup: performed,
    removePlacementGroup: performed,
    startPrefill: performed,
    startDecode: performed,
    readKvIp: performed,
    waitHealthy: performed,
    sendCanary: performed,
    drainReplica: performed,
    stopReplica: performed,
    renderProxy: performed,
    runProxy: performed,
    setMembership: performed,
    drainProxy: performed,
    stopProxy: performed,
    sweep: async () => ({ removed: [] }),
  };
}
