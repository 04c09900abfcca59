import type { WorkflowHandle } from "@temporalio/client";
import { Context } from "@temporalio/activity";
import { ApplicationFailure } from "@temporalio/common";
import { expect, test } from "vitest";
import type { Revision } from "../../src/domain/revision.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import type { AbortAnswer } from "../../src/workflows/messages.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { createStage, startFakeWorker, startJob } from "./rig.ts";

const stage = createStage();

/** The spec of a job whose decode engines are of that revision. */
const at = (name: string, revision: string, more: Partial<JobSpec> = {}, prefills = 2): JobSpec =>
  makeSpec({
    name,
    ...more,
    prefill: { replicas: prefills, revision: "a", kvRevision: "a" },
    decode: { revision, kvRevision: "a" },
  });

const start = (spec: JobSpec): Promise<WorkflowHandle> => startJob(stage, { spec });

const untilReady = (handle: WorkflowHandle, revision: number): Promise<JobStatus> =>
  eventually(`revision ${revision} is READY`, async () => {
    const status = await handle.query<JobStatus>("status");
    return status.phase === "READY" && status.revision === revision ? status : undefined;
  });

test("undo takes no input, goes back by one, and refuses what is no request", async () => {
  const { worker, cluster } = await startFakeWorker(stage, at("back", "a"));
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

test("what was planned for an earlier config is not done once a newer one was applied", async () => {
  let release: (() => void) | undefined;
  let isHeld = false;
  const { worker } = await startFakeWorker(stage, at("late", "a"), {
    afterPlan: async ({ actions }) => {
      if (isHeld && actions.some(({ kind }) => kind === "reservePlacementGroup"))
        await new Promise<void>((resolve) => (release = resolve));
    },
  });
  await worker.runUntil(async () => {
    const handle = await start(at("late", "a"));
    await untilReady(handle, 1);
    isHeld = true;
    await handle.signal("scaleTo", { role: "decode", replicas: 5 });
    await eventually("a plan with more decode replicas is made", async () => release);
    await handle.executeUpdate("apply", { args: [{ spec: at("late", "b") }] });
    isHeld = false;
    release?.();
    const { events, replicas } = await untilReady(handle, 2);
    expect(events.map(({ text }) => text).filter((text) => text.includes("decode-4"))).toEqual([]);
    expect(replicas.filter(({ outdated }) => outdated)).toEqual([]);
    await handle.terminate();
  });
});

test.each(["answers", "fails"])(
  "a question about an earlier config's engines that %s says nothing of a newer one's",
  async (how) => {
    const name = `asked-${how}`;
    const asked = (version: string): JobSpec => at(name, version, { engineVersion: version });
    let probes = 0;
    let release: (() => void) | undefined;
    const { worker } = await startFakeWorker(stage, asked("0.30"), {
      before: async ({ kind }) => {
        if (kind !== "probeEngine") return;
        probes += 1;
        if (probes !== 2) return;
        await new Promise<void>((resolve) => (release = resolve));
        if (how === "fails") throw ApplicationFailure.nonRetryable("cannot serve", "SpecInvalid");
      },
    });
    await worker.runUntil(async () => {
      const handle = await start(asked("0.30"));
      await untilReady(handle, 1);
      await handle.executeUpdate("apply", { args: [{ spec: asked("0.31") }] });
      await eventually("its engines' version is asked for", async () => release);
      await handle.executeUpdate("apply", { args: [{ spec: asked("0.32") }] });
      release?.();
      await untilReady(handle, 3);
      expect(probes).toBe(3);
      await handle.terminate();
    });
  },
);

test("abort goes back to what last served whole, with the counts that were asked for meanwhile", async () => {
  const { worker } = await startFakeWorker(stage, at("given-up", "a"), {
    before: async (action) => {
      while (action.kind === "waitHealthy" && action.generation > 1)
        await Context.current().sleep(20);
    },
  });
  await worker.runUntil(async () => {
    const handle = await start(at("given-up", "a"));
    await untilReady(handle, 1);
    await expect(handle.executeUpdate("abort")).rejects.toMatchObject({
      cause: { message: expect.stringContaining("there is nothing to abort") },
    });
    await handle.executeUpdate("apply", { args: [{ spec: at("given-up", "b") }] });
    await handle.executeUpdate("apply", { args: [{ spec: at("given-up", "c") }] });
    await handle.executeUpdate("scale", { args: [{ role: "prefill", replicas: 3 }] });
    expect(await handle.query<JobStatus>("status")).toMatchObject({
      revision: 3,
      settledRevision: 1,
    });
    const answer = await handle.executeUpdate<AbortAnswer, []>("abort");
    expect(answer).toMatchObject({ revision: 4, backTo: 1 });
    expect((await handle.query<JobStatus>("status")).desired).toEqual({ prefill: 3, decode: 2 });
    const revisions = await handle.query<readonly Revision[]>("revisions");
    expect(revisions.at(-1)).toMatchObject({
      why: "abort: back to 1",
      spec: at("given-up", "a", {}, 3),
    });
    await handle.terminate();
  });
});

test("a job that goes back by itself keeps the counts that were asked for meanwhile", async () => {
  let isScaled = false;
  const { worker } = await startFakeWorker(stage, at("by-itself", "a"), {
    before: async (action) => {
      if (action.kind !== "startDecode" || action.generation === 1) return;
      while (!isScaled) await Context.current().sleep(20);
      throw ApplicationFailure.nonRetryable("no such flag", "EngineNotStarted");
    },
  });
  await worker.runUntil(async () => {
    const handle = await start(at("by-itself", "a"));
    await untilReady(handle, 1);
    await handle.executeUpdate("apply", { args: [{ spec: at("by-itself", "b") }] });
    await handle.executeUpdate("scale", { args: [{ role: "prefill", replicas: 3 }] });
    isScaled = true;
    const newest = await eventually("it goes back", async () =>
      (await handle.query<readonly Revision[]>("revisions")).find(({ number }) => number === 3),
    );
    expect(newest.why).toMatch(/^rollback to 1: /);
    expect((await handle.query<JobStatus>("status")).desired).toEqual({ prefill: 3, decode: 2 });
    await handle.terminate();
  });
});
