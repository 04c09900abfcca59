import { setTimeout as sleep } from "node:timers/promises";
import { Context } from "@temporalio/activity";
import type { WorkflowHandle } from "@temporalio/client";
import { ApplicationFailure } from "@temporalio/common";
import { Worker } from "@temporalio/worker";
import { expect, test } from "vitest";
import { listJobs } from "../../src/client/jobs.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import type { JobInput } from "../../src/workflows/messages.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { createStage, startFakeWorker, startJob } from "./rig.ts";

const stage = createStage();

const start = (input: JobInput): Promise<WorkflowHandle> => startJob(stage, input);

const untilReady = (handle: WorkflowHandle, decode: number): Promise<JobStatus> =>
  eventually("the job is READY", async () => {
    const status = await handle.query<JobStatus>("status");
    return status.phase === "READY" && status.ready.decode === decode ? status : undefined;
  });

/** A whole life: deploy, scale by signal and update, heal, stop. */
async function live(name: string, extra: Partial<JobInput> = {}): Promise<WorkflowHandle> {
  const spec = makeSpec({ name });
  const { worker, cluster } = await startFakeWorker(stage, spec);
  return worker.runUntil(async () => {
    const handle = await start({ spec, ...extra });
    await untilReady(handle, 2);
    await handle.signal("scaleTo", { role: "decode", replicas: 3 });
    await untilReady(handle, 3);
    await handle.executeUpdate("scale", { args: [{ role: "decode", replicas: 1 }] });
    await untilReady(handle, 1);
    cluster.setState(`${name}-decode-0-g1`, "exited");
    await eventually("decode-0 is replaced", async () =>
      (await untilReady(handle, 1)).replicas.some(
        // A reservation that the end of a run called off has used its number up.
        (one) => one.name === "decode-0" && one.generation > 1,
      ),
    );
    await handle.executeUpdate("stop");
    await expect(handle.result()).resolves.toEqual({ phase: "STOPPED" });
    expect(cluster.state.observed).toMatchObject({
      placementGroups: [],
      replicas: [],
      proxies: [],
    });
    return handle;
  });
}

test("a job deploys, scales by signal and update, heals and stops", async () => {
  const handle = await live("life");
  const history = await handle.fetchHistory();
  await Worker.runReplayHistory({ workflowBundle: stage.workflowBundle }, history);
});

test("a job continues as new when its history is long, and loses neither state nor messages", async () => {
  await live("again", { historyEventsMax: 60 });
  const runs = new Set<string>();
  for await (const one of stage.env.client.workflow.list({ query: 'WorkflowId = "pdjob-again"' }))
    runs.add(one.runId);
  expect(runs.size).toBeGreaterThan(1);
  const { jobs } = await listJobs(stage.env.client, 50);
  expect(jobs.filter(({ job }) => job === "again").map(({ phase }) => phase)).toEqual([
    "COMPLETED",
  ]);
});

test("restartReplica replaces what it names, and is refused for what the job does not have", async () => {
  const spec = makeSpec({ name: "again-please" });
  const { worker } = await startFakeWorker(stage, spec);
  await worker.runUntil(async () => {
    const handle = await start({ spec });
    await untilReady(handle, 2);
    const restart = (replica: string) =>
      handle.executeUpdate("restartReplica", { args: [{ replica }] });
    await expect(restart("decode-2")).rejects.toMatchObject({
      cause: {
        message:
          "Job again-please has no decode-2. It has prefill-0, prefill-1, decode-0, decode-1, proxy.",
      },
    });
    await expect(restart("decode-1")).resolves.toEqual({ replica: "decode-1", retired: 1 });
    await expect(restart("proxy")).resolves.toEqual({ replica: "proxy", retired: 1 });
    await eventually("both have a second generation", async () => {
      const { replicas, proxy } = await untilReady(handle, 2);
      const generations = replicas.map(({ name, generation }) => `${name} g${generation}`);
      return generations.includes("decode-1 g2") && proxy.generation === 2;
    });
    await handle.executeUpdate("stop");
    await handle.result();
  });
});

test("a job that serves outlives a worker whose cluster access is broken, and can be stopped afterwards", async () => {
  const spec = makeSpec({ name: "denied" });
  let isDenied = false;
  const { worker, cluster } = await startFakeWorker(stage, spec, {
    beforeLook: () => {
      if (isDenied) throw ApplicationFailure.nonRetryable("wrong token", "AuthDenied");
    },
  });
  await worker.runUntil(async () => {
    const handle = await start({ spec });
    await untilReady(handle, 2);
    isDenied = true;
    await handle.signal("scaleTo", { role: "decode", replicas: 3 });
    await eventually("the failure is told", async () =>
      (await handle.query<JobStatus>("status")).events.some(({ text }) =>
        text.includes("looking at the cluster failed: AuthDenied: wrong token"),
      ),
    );
    expect(cluster.state.observed.replicas).toHaveLength(4);
    isDenied = false;
    await untilReady(handle, 3);
    await handle.executeUpdate("stop");
    await expect(handle.result()).resolves.toEqual({ phase: "STOPPED" });
  });
});

test("a job continues as new although a replica waits for GPUs, and the wait goes on", async () => {
  const spec = makeSpec({ name: "waiting" });
  let hasGpus = false;
  const { worker } = await startFakeWorker(stage, spec, {
    before: async (action) => {
      while (action.kind === "reservePlacementGroup" && action.replica.index === 2 && !hasGpus)
        await Context.current().sleep(20);
    },
  });
  await worker.runUntil(async () => {
    const handle = await start({ spec, historyEventsMax: 200 });
    await untilReady(handle, 2);
    await handle.signal("scaleTo", { role: "decode", replicas: 3 });
    await eventually("it waits", async () =>
      (await handle.query<JobStatus>("status")).inFlight.some((key) =>
        key.startsWith("reservePlacementGroup decode-2 "),
      ),
    );
    const { runId: before } = await handle.describe();
    await eventually("messages made its history long, and it continued as new", async () => {
      for (let turn = 0; turn < 20; turn++)
        await handle.signal("scaleTo", { role: "decode", replicas: 3 });
      await sleep(1_000); // A run cannot end while messages keep coming.
      return (await handle.describe()).runId === before ? undefined : true;
    });
    hasGpus = true;
    await untilReady(handle, 3);
    await handle.executeUpdate("stop");
    await expect(handle.result()).resolves.toEqual({ phase: "STOPPED" });
  });
});

test("an idempotency key makes a repeated request count once", async () => {
  const spec = makeSpec({ name: "keys" });
  const { worker } = await startFakeWorker(stage, spec);
  await worker.runUntil(async () => {
    const handle = await start({ spec });
    await untilReady(handle, 2);
    await handle.signal("scaleTo", { role: "decode", replicas: 3, key: "ops-1" });
    await handle.signal("scaleTo", { role: "decode", replicas: 1 });
    await handle.signal("scaleTo", { role: "decode", replicas: 3, key: "ops-1" });
    expect((await untilReady(handle, 1)).desired.decode).toBe(1);
    await handle.cancel();
    await expect(handle.result()).rejects.toMatchObject({ cause: { name: "CancelledFailure" } });
  });
});

test.each([
  [{ role: "gpu", replicas: 1 }, "A scale request is"],
  [{ role: "decode", replicas: 0 }, "A scale request is"],
  [{ role: "decode", replicas: 1.5 }, "A scale request is"],
  [
    { role: "decode", replicas: 7 },
    "2 prefill × 2 + 7 decode × 2 = 18 GPUs, but num_gpus of job refused is 16.",
  ],
])("the update validator refuses %j without a trace in history", async (request, message) => {
  const spec = makeSpec({ name: "refused" });
  const { worker } = await startFakeWorker(stage, spec);
  await worker.runUntil(async () => {
    const handle = await start({ spec });
    await untilReady(handle, 2);
    await expect(handle.executeUpdate("scale", { args: [request] })).rejects.toMatchObject({
      cause: { message: expect.stringContaining(message) },
    });
    const { events } = await handle.fetchHistory();
    expect(events?.some((event) => event.workflowExecutionUpdateAcceptedEventAttributes)).toBe(
      false,
    );
    await handle.terminate();
  });
});

test("a step that fails for good during the first deployment fails the job with that step's reason", async () => {
  const spec = makeSpec({ name: "doomed" });
  const { worker, cluster } = await startFakeWorker(stage, spec, {
    before: (action) => {
      if (action.kind === "waitHealthy" && action.replica.role === "decode")
        throw ApplicationFailure.nonRetryable("The engine exited with code 1", "EngineExited");
    },
  });
  await worker.runUntil(async () => {
    const handle = await start({ spec });
    await expect(handle.result()).rejects.toMatchObject({
      cause: { type: "EngineExited", message: "The engine exited with code 1" },
    });
    expect(cluster.state.observed.replicas).toEqual([]);
    expect((await handle.query<JobStatus>("status")).phase).toBe("FAILED");
  });
});

test("workflows bundle without activity code, Node built-ins or zod", () => {
  expect(stage.workflowBundle.code).not.toContain("src/activities/conduct");
  expect(stage.workflowBundle.code).not.toContain("node:child_process");
  expect(stage.workflowBundle.code).not.toContain("zod");
});
