import { setTimeout as sleep } from "node:timers/promises";
import type { WorkflowHandle } from "@temporalio/client";
import { expect, test } from "vitest";
import { watchMaxMs } from "../../src/activities/turn.ts";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { carry, openState, schemaVersion } from "../../src/workflows/state.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { cases } from "../support/thorough.ts";
import { createStage, startFakeWorker, startJob } from "./rig.ts";

const signals = cases(3_000, 10_000);
const burst = 1_000;
const signalsAtOnce = 100;
const gapMs = 200;
/** A job continues as new at 2,000 events; what is in flight then, and what comes in meanwhile, adds some. */
const historyEventsMax = 4_000;
const dayMs = 86_400_000;
/** On a machine that does a lot besides. */
const patienceMs = 280_000;

const stage = createStage();

const start = async (name: string): Promise<WorkflowHandle> => {
  const handle = await startJob(stage, { spec: makeSpec({ name }) });
  await untilReady(handle, 2);
  return handle;
};

const send = (handle: WorkflowHandle, first: number): Promise<unknown> =>
  Promise.all(
    Array.from({ length: signalsAtOnce }, (_, at) =>
      handle.signal("scaleTo", { role: "decode", replicas: 1 + ((first + at) % 4) }),
    ),
  );

const untilReady = (handle: WorkflowHandle, decode: number): Promise<JobStatus> =>
  eventually(
    "the job is READY",
    async () => {
      const status = await handle.query<JobStatus>("status");
      return status.phase === "READY" && status.ready.decode === decode ? status : undefined;
    },
    patienceMs,
  );

test(
  `${signals.toLocaleString("en")} signals end in the last one's wish, with every history short`,
  { timeout: 2 * patienceMs },
  async () => {
    const { worker } = await startFakeWorker(stage, makeSpec({ name: "busy" }), {
      debugMode: true,
    });
    await worker.runUntil(async () => {
      const handle = await start("busy");
      for (let sent = 0; sent < signals; sent += burst) {
        for (let at = 0; at < burst; at += signalsAtOnce) await send(handle, sent + at);
        // The server turns a continue-as-new away while messages pour in, so a flood without a gap would all fall to one run.
        // Nor does it answer a query while a task that was turned away has not been tried again.
        await eventually("it answers", () => handle.query("status"), patienceMs);
        await sleep(gapMs);
      }
      await handle.signal("scaleTo", { role: "decode", replicas: 3, key: "last" });
      await untilReady(handle, 3);
      const lengths: number[] = [];
      const { workflow } = stage.env.client;
      // The list knows the length of a run once it has ended.
      for await (const { runId } of workflow.list({ query: 'WorkflowId = "pdjob-busy"' }))
        lengths.push((await workflow.getHandle("pdjob-busy", runId).describe()).historyLength);
      expect(lengths.length).toBeGreaterThan(1);
      expect(lengths.reduce((sum, length) => sum + length, 0)).toBeGreaterThan(signals);
      expect(Math.max(...lengths)).toBeLessThan(historyEventsMax);
      await handle.executeUpdate("stop");
      await handle.result();
    });
  },
);

test(
  "an idle job adds at most 50 events a day to its history",
  { timeout: 2 * patienceMs },
  async () => {
    const happenings = { watchMs: 100 };
    const spec = makeSpec({ name: "idle" });
    const { worker } = await startFakeWorker(stage, spec, happenings);
    await worker.runUntil(async () => {
      const handle = await start("idle");
      const look = async () => {
        const { events = [] } = await handle.fetchHistory();
        const ids = new Set(
          events?.flatMap((event) =>
            event.activityTaskScheduledEventAttributes?.activityType?.name === "watchJob"
              ? [String(event.eventId)]
              : [],
          ),
        );
        const ended = (events ?? []).filter((event) =>
          ids.has(String(event.activityTaskCompletedEventAttributes?.scheduledEventId ?? "")),
        );
        return { events: events?.length ?? 0, watches: ended.length };
      };
      const untilEnded = (watches: number) =>
        eventually(
          `${watches} watches ended`,
          async () => {
            const now = await look();
            return now.watches >= watches ? now : undefined;
          },
          patienceMs,
        );
      // The last words of the deployment are not an idle day's.
      const before = await untilEnded(3);
      const after = await untilEnded(before.watches + 10);
      const perWatch = (after.events - before.events) / (after.watches - before.watches);
      // A look may fall between the events of one watch: that is a tenth of one at most.
      expect(perWatch).toBeLessThan(14);
      expect((perWatch * dayMs) / watchMaxMs).toBeLessThan(50);
      await handle.executeUpdate("stop");
      await handle.result();
    });
  },
);

test("a state that earlier code carried over is completed, and what later code only added is let go", () => {
  const spec = makeSpec();
  const carried = carry(openState(spec, undefined, 5));
  const { lostSinceMs: _, startedAtMs: _startedAtMs, ...olderMemory } = emptyMemory(5);
  const { plannedGeneration: _planned, schemaVersion: _version, ...rest } = carried;
  const older = openState(spec, { ...rest, memory: olderMemory } as typeof carried, 9);
  expect(older.memory).toEqual({ ...emptyMemory(9), deployStartedAtMs: 5 });
  expect(older.plannedGeneration).toBe(0);
  expect(carry(older).schemaVersion).toBe(schemaVersion);
  const additive = { ...carried, unheardOf: { a: 1 } } as typeof carried;
  expect(carry(openState(spec, additive, 9))).toEqual(carried);
});

test("a state that this code may misread fails the workflow's task, which waits for a later worker, and not the job", async () => {
  const spec = makeSpec({ name: "from-the-future" });
  const state = { ...carry(openState(spec, undefined, 5)), schemaVersion: schemaVersion + 1 };
  const { worker } = await startFakeWorker(stage, spec);
  await worker.runUntil(async () => {
    const handle = await startJob(stage, { spec, state });
    const why = await eventually("its task has failed", async () => {
      const { events } = await handle.fetchHistory();
      const failed = events?.find(({ workflowTaskFailedEventAttributes: one }) => one);
      return failed?.workflowTaskFailedEventAttributes?.failure?.message ?? undefined;
    });
    expect(why).toBe(
      "Job from-the-future was carried on by a later version of pdjob-worker: its state has schema version 2, and this " +
        "worker reads up to 1. Start a worker of that version, and end this one: the job waits for it and loses nothing.",
    );
    expect((await handle.describe()).status.name).toBe("RUNNING");
    await handle.terminate();
  });
});

test("a carried state is plain JSON: nothing of it is lost on the way", () => {
  const carried = carry(openState(makeSpec(), undefined, 5));
  expect(JSON.parse(JSON.stringify(carried))).toEqual(carried);
});
