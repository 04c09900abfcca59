import { describe, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { pendingFailures } from "../../src/client/pending.ts";
import { plainServer } from "../../src/client/server.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { createStage, startFakeWorker, taskQueue } from "../workflows/rig.ts";

type Activity = Parameters<typeof pendingFailures>[0][number];

const [scheduled, started] = [1, 2];
const at = (s: number) => ({ seconds: s as never, nanos: 0 });
const retryPolicy = {
  initialInterval: { nanos: 500_000_000 },
  maximumInterval: at(10),
  backoffCoefficient: 2,
};
/** Its last attempt ended at 1000 s. */
const watching = (more: Partial<Activity>): Activity => ({
  activityType: { name: "watchJob" },
  state: scheduled,
  lastFailure: { message: "no head" },
  lastAttemptCompleteTime: at(1_000),
  activityOptions: { retryPolicy },
  ...more,
});
const sinceS = (more: Partial<Activity>): number | undefined => {
  const ms = pendingFailures([watching(more)], 1_010_000)[0]?.failingSinceMs;
  return ms === undefined ? undefined : ms / 1_000;
};

describe("a step fails since about", () => {
  test.each([
    ["its only failure", 2, 1_000],
    ["the first of two", 3, 999.5],
    ["the first of six, whose last two waits are the longest", 8, 1_000 - 25.5],
  ])("%s", (_, attempt, expected) => expect(sinceS({ attempt })).toBe(expected));

  test("its only known failure, when the server tells no retry policy", () => {
    expect(sinceS({ attempt: 9, activityOptions: null })).toBe(1_000);
  });
});

describe("a step that has failed", () => {
  test("fails no more when its present attempt has run for longer than a look may take", () => {
    const running = (lastS: number) =>
      sinceS({ state: started, attempt: 5, lastStartedTime: at(lastS) });
    expect(running(1_009)).toBe(1_000 - 3.5);
    expect(running(900)).toBeUndefined();
  });

  test("is given the benefit of the doubt when it has failed once, as by a restart of its worker", () => {
    expect(sinceS({ state: started, attempt: 2, lastStartedTime: at(1_009) })).toBeUndefined();
  });

  test("is told of with its attempt and reason, and one that has not is left out", () => {
    const activities = [watching({ attempt: 2 }), watching({ lastFailure: null })];
    expect(pendingFailures(activities, 0)).toEqual([
      { activity: "watchJob", attempt: 2, message: "no head", failingSinceMs: 1_000_000 },
    ]);
  });
});

describe("on a real server", () => {
  const stage = createStage();

  test("a turn that cannot observe the job fails since its start", async () => {
    const spec = makeSpec({ name: "demo" });
    const { worker } = await startFakeWorker(stage, spec, {
      beforeLook: () => {
        throw new Error("no head");
      },
    });
    const run = worker.run();
    const client = await connect({ server: plainServer(stage.env.address), taskQueue });
    const startMs = Date.now();
    await client.start(spec);
    const failure = async () => (await client.look("demo")).failures[0];
    await eventually("it has failed twice", async () => ((await failure())?.attempt ?? 0) > 2);
    expect(await failure()).toMatchObject({ activity: "planTurn", message: "no head" });
    const sinceMs = (await failure())?.failingSinceMs ?? 0;
    expect(sinceMs).toBeGreaterThanOrEqual(startMs);
    expect(sinceMs).toBeLessThan(Date.now());
    worker.shutdown();
    await run;
    await client.close();
  }, 240_000);
});
