import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { createActivities } from "../../src/activities/index.ts";
import type { Turn, TurnInput } from "../../src/activities/turn.ts";
import type { Agent } from "../../src/ray/agent.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

/** An agent that only looks, and sees what `fakeCluster` made. */
const lookingAt = ({ state }: ReturnType<typeof fakeCluster>): Agent => ({
  call: async () => state.observed as never,
  close: async () => undefined,
});

test("a plan is made for a workflow of an earlier version, which remembers less", async () => {
  const spec = makeSpec();
  const cluster = fakeCluster(spec);
  cluster.settle();
  cluster.setState("demo-decode-0-g1", "starting");
  const { desired, memory } = cluster.state;
  const { startedAtMs: _startedAtMs, lostSinceMs: _lostSinceMs, ...older } = memory;
  const { planTurn } = createActivities({
    agent: lookingAt(cluster),
    readProxyProgram: async () => "",
  });
  const atMs = 70_000;
  const env = new MockActivityEnvironment({ currentAttemptScheduledTimestampMs: atMs });
  const input = { spec, desired, memory: older, inFlight: [] } as unknown as TurnInput;
  const { plan }: Turn = await env.run(planTurn, input);
  // It cannot know when that engine was started, so it counts from now.
  const [wait] = plan.actions;
  expect(wait).toMatchObject({ kind: "waitHealthy", generation: 1 });
  expect(wait && "deadlineMs" in wait ? wait.deadlineMs : 0).toBeGreaterThanOrEqual(atMs + 60_000);
});

test("a plan that cannot be made is not tried again: another config may be wanted by then", async () => {
  const spec = makeSpec();
  const cluster = fakeCluster(spec);
  const { planTurn } = createActivities({
    agent: lookingAt(cluster),
    readProxyProgram: async () => "",
  });
  const { desired, memory } = cluster.state;
  const none = { ...spec, roles: {} };
  const input = { spec: none, desired, memory, inFlight: [] } as unknown as TurnInput;
  await expect(new MockActivityEnvironment().run(planTurn, input)).rejects.toMatchObject({
    type: "Internal",
    nonRetryable: true,
    message: expect.stringMatching(/^No plan could be made \(TypeError: /),
  });
});
