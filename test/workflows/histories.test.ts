import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import type { WorkflowHandle } from "@temporalio/client";
import { ApplicationFailure } from "@temporalio/common";
import { Worker } from "@temporalio/worker";
import { describe, expect, test } from "vitest";
import type { Action } from "../../src/domain/action.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { operations } from "./operations.ts";
import type { Operation } from "./operations.ts";
import { createStage, startFakeWorker, startJob } from "./rig.ts";

/*
 * A workflow that runs while a new version is rolled out is replayed by the new code: every operation has a recorded
 * history here, and each must replay. Never regenerate one, only add: PDJOB_RECORD=2026-11-25 npx vitest run
 * test/workflows/histories.test.ts writes what today's code does beside the others.
 */
const folder = fileURLToPath(new URL("../histories/", import.meta.url));
const recordAs = process.env["PDJOB_RECORD"];

const stage = createStage();

/** Performs the operation on a job of its own, and answers with the history of each of its runs, oldest first. */
async function live({
  name,
  act,
  input,
  spec: more,
  fails,
}: Operation): Promise<readonly History[]> {
  const spec = makeSpec({ name, ...more });
  const { worker, cluster } = await startFakeWorker(stage, spec, {
    before: (action) => {
      const isIts = fails?.generation === undefined || generationOf(action) === fails.generation;
      if (fails && isIts && action.kind === fails.kind)
        throw ApplicationFailure.nonRetryable("it cannot", fails.code);
    },
  });
  return worker.runUntil(async () => {
    const handle = await startJob(stage, { spec, ...input });
    const ready = (decode: number) =>
      eventually("the job is READY", async () => {
        const status = await handle.query<JobStatus>("status");
        return status.phase === "READY" && status.ready.decode === decode ? status : undefined;
      });
    await act({ handle, cluster, ready });
    const histories: History[] = [];
    for await (const { runId } of stage.env.client.workflow.list({
      query: `WorkflowId = "pdjob-${name}"`,
    }))
      histories.unshift(
        await stage.env.client.workflow.getHandle(`pdjob-${name}`, runId).fetchHistory(),
      );
    // The next operation's worker must not go on with this job.
    await handle.terminate().catch(() => undefined);
    return histories;
  });
}

const generationOf = (action: Action): number | undefined =>
  "generation" in action ? action.generation : undefined;

/** They name the folders of the machine that recorded, and are not looked at when a history is replayed. */
const withoutTraces = (key: string, value: unknown): unknown =>
  key === "stackTrace" ? undefined : value;

type History = Awaited<ReturnType<WorkflowHandle["fetchHistory"]>>;

describe("what today's code does replays", () => {
  test.each(operations)("$name", async (operation) => {
    const { name } = operation;
    const histories = await live(operation);
    expect(histories.length > 1).toBe(name === "continue-as-new");
    for (const [at, history] of histories.entries()) {
      await Worker.runReplayHistory({ workflowBundle: stage.workflowBundle }, history);
      const text = JSON.stringify(JSON.parse(historyToJSON(history)), withoutTraces);
      if (recordAs && at < 2) writeFileSync(`${folder}${recordAs}-${name}${at || ""}.json`, text);
    }
  });
});

describe("histories recorded by earlier code replay", () => {
  const recorded = readdirSync(folder).filter((file) => file.endsWith(".json"));

  test("there is one for each operation", () => {
    for (const { name } of operations)
      expect(recorded.some((file) => file.endsWith(`-${name}.json`))).toBe(true);
  });

  test.each(recorded)("%s", async (file) => {
    await Worker.runReplayHistory(
      { workflowBundle: stage.workflowBundle },
      JSON.parse(readFileSync(`${folder}${file}`, "utf8")),
    );
  });
});
