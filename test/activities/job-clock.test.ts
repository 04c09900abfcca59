import { MockActivityEnvironment } from "@temporalio/testing";
import { afterEach, expect, test, vi } from "vitest";
import { latestMs, startJobClock } from "../../src/activities/job-clock.ts";

afterEach(() => void vi.useRealTimers());

const scheduled = { scheduledTimestampMs: 1_000, currentAttemptScheduledTimestampMs: 50_000 };

test("an activity's time is the server's, even when the machine's clock is wrong and jumps", async () => {
  const env = new MockActivityEnvironment(scheduled);
  await env.run(async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"], now: 0 });
    const nowMs = startJobClock();
    vi.advanceTimersByTime(2_000);
    vi.setSystemTime(9_999_999);
    expect(nowMs()).toBe(52_000);
  });
});

test("a wait has its whole time from when it was asked for, however early the plan's deadline is", async () => {
  const env = new MockActivityEnvironment(scheduled);
  const ends = await env.run(async () => [latestMs(5_000, 20_000), latestMs(90_000, 20_000)]);
  expect(ends).toEqual([21_000, 90_000]);
});
