import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { untilQuiet } from "../../src/activities/quiet.ts";
import type { Agent } from "../../src/ray/agent.ts";

/** An engine whose load is told look by look; a text is its state instead, and the last of them stays. */
async function wait(
  looks: readonly (number | null | string)[],
  quietS: number,
  deadlineMs = 60_000,
) {
  let at = -1;
  const agent = {
    call(verb: string) {
      if (verb === "replicaStatus") at = Math.min(at + 1, looks.length - 1);
      const look = looks[at] ?? null;
      return Promise.resolve(
        verb === "replicaStatus"
          ? { state: typeof look === "string" ? look : "healthy" }
          : { requests: look },
      );
    },
    close: () => Promise.resolve(),
  } as unknown as Agent;
  const activity = () =>
    untilQuiet(agent, "demo-decode-1-g1", {
      quietS,
      nowMs: Date.now,
      endMs: Date.now() + deadlineMs,
    });
  const { left } = (await new MockActivityEnvironment().run(activity)) as { left: number };
  return { left, looks: at + 1 };
}

test("a replica is drained once its engine has had no request for that long", async () => {
  const { left, looks } = await wait([2, 0, 1, 0, 0, 0, 0, 0], 0.9);
  // The first look without a request was followed by one with: only the next ones count.
  expect([left, looks >= 5]).toEqual([0, true]);
});

test("its deadline ends the wait with what is left; an engine that does not tell counts as busy", async () => {
  expect((await wait([3], 0, -1)).left).toBe(3);
  expect((await wait([null], 0, -1)).left).toBe(1);
});

test.each(["exited", "absent", "unhealthy"])(
  "an engine that is %s has nothing left to wait for",
  async (state) => {
    expect(await wait([5, state], 60)).toEqual({ left: 0, looks: 2 });
  },
);

test("one whose actor does not answer for a moment may have its streams still", async () => {
  expect(await wait([5, "lost", 5, "exited"], 60)).toEqual({ left: 0, looks: 4 });
});

test("one whose actor stays silent is gone, long before the deadline", async () => {
  expect((await wait([5, "lost"], 60)).left).toBe(0);
});
