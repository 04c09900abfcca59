import type { WorkflowHandle } from "@temporalio/client";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import type { WorkflowBundleWithSourceMap } from "@temporalio/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { bundle, startFakeWorker, startServer, taskQueue } from "./rig.ts";

let env: TestWorkflowEnvironment;
let workflowBundle: WorkflowBundleWithSourceMap;

beforeAll(async () => {
  [env, workflowBundle] = await Promise.all([startServer(), bundle()]);
}, 60_000);
afterAll(async () => env.teardown());

/** The spec of a job whose decode engines are of that revision. */
const at = (name: string, revision: string, more: Partial<JobSpec> = {}): JobSpec =>
  makeSpec({
    name,
    ...more,
    prefill: { revision: "a", kvRevision: "a" },
    decode: { revision, kvRevision: "a" },
  });

const start = (spec: JobSpec): Promise<WorkflowHandle> =>
  env.client.workflow.start("PDJobWorkflow", {
    args: [{ spec }],
    taskQueue,
    workflowId: `pdjob-${spec.name}`,
  });

const untilReady = (handle: WorkflowHandle, revision: number): Promise<JobStatus> =>
  eventually(`revision ${revision} is READY`, async () => {
    const status = await handle.query<JobStatus>("status");
    return status.phase === "READY" && status.revision === revision ? status : undefined;
  });

test("undo takes no input, goes back by one, and refuses what is no request", async () => {
  const { worker, cluster } = await startFakeWorker(env, at("back", "a"), workflowBundle);
  await worker.runUntil(async () => {
    const handle = await start(at("back", "a"));
    await untilReady(handle, 1);
    await handle.executeUpdate("apply", { args: [{ spec: at("back", "a", { numGpus: 12 }) }] });
    await untilReady(handle, 2);
    await expect(handle.executeUpdate("undo", { args: ["1"] })).rejects.toMatchObject({
      cause: { message: expect.stringMatching(/^An undo request is /) },
    });
    await expect(handle.executeUpdate("undo")).resolves.toMatchObject({ revision: 3 });
    const { limits } = await untilReady(handle, 3);
    expect(limits?.numGpus).toBe(16);
    expect(cluster.state.observed.replicas).toHaveLength(4);
    await handle.terminate();
  });
});
