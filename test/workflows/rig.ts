import { fileURLToPath } from "node:url";
import { TestWorkflowEnvironment } from "@temporalio/testing";
import { DefaultLogger, Runtime, Worker, bundleWorkflowCode } from "@temporalio/worker";
import type { WorkflowBundleWithSourceMap } from "@temporalio/worker";
import { ApplicationFailure } from "@temporalio/common";
import type { Activities } from "../../src/activities/index.ts";
import type { Action } from "../../src/domain/action.ts";
import { findTemporal } from "../../src/dev/temporal.ts";
import { reconcile } from "../../src/plan/reconcile.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { fakeCluster } from "../support/cluster.ts";

Runtime.install({
  logger: new DefaultLogger("ERROR"),
  shutdownSignals: [],
  telemetryOptions: { logging: { filter: "ERROR", forward: {} } },
});

export const taskQueue = "pdjob-test";
export const workflowsPath = fileURLToPath(
  new URL("../../src/workflows/index.ts", import.meta.url),
);

export const bundle = (): Promise<WorkflowBundleWithSourceMap> =>
  bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger("ERROR") });

/** A real Temporal dev server, in memory. */
export async function startServer(): Promise<TestWorkflowEnvironment> {
  const { path } = await findTemporal();
  return TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: "existing-path", path },
      log: { format: "pretty", level: "error" },
    },
  });
}

/** A worker whose activities act on a cluster in memory; the policy and the workflow are the real ones. */
export async function startFakeWorker(
  env: TestWorkflowEnvironment,
  spec: JobSpec,
  workflowBundle: WorkflowBundleWithSourceMap,
  fail?: (action: Action) => string | undefined,
) {
  const cluster = fakeCluster(spec);
  const worker = await Worker.create({
    connection: env.nativeConnection,
    taskQueue,
    workflowBundle,
    activities: fakeActivities(cluster, fail) as object,
  });
  return { cluster, worker };
}

function fakeActivities(
  cluster: ReturnType<typeof fakeCluster>,
  fail: (action: Action) => string | undefined = () => undefined,
): Activities {
  const performed = async ({ action }: { readonly action: Action }): Promise<never> => {
    const problem = fail(action);
    if (problem) throw ApplicationFailure.nonRetryable(problem, "EngineExited");
    cluster.apply(action);
    return (
      action.kind === "renderProxy"
        ? { builtin: true, argv: [], members: action.members }
        : { kvIp: "10.0.0.1" }
    ) as never;
  };
  return {
    planTurn: async (input) => ({
      plan: reconcile({ ...input, observed: cluster.state.observed, nowMs: Date.now() }),
      digest: JSON.stringify(cluster.state.observed),
    }),
    watchJob: async ({ digest }) => {
      const { Context } = await import("@temporalio/activity");
      while (JSON.stringify(cluster.state.observed) === digest) {
        Context.current().heartbeat();
        await Context.current().sleep(50);
      }
      return { changed: true };
    },
    reservePlacementGroup: performed,
    removePlacementGroup: performed,
    startPrefill: performed,
    startDecode: performed,
    readKvIp: performed,
    waitHealthy: performed,
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
