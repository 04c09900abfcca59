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

test("a newer watch of a job ends the one before at once, so that leases are renewed to what the newest config says", async () => {
  const cluster = fakeCluster(makeSpec());
  cluster.settle();
  const renewed: number[] = [];
  const { planTurn, watchJob } = createActivities({
    agent: {
      ...lookingAt(cluster),
      call: async (_verb, args) => {
        if ("leaseS" in args && args.leaseS !== undefined) renewed.push(args.leaseS);
        return cluster.state.observed as never;
      },
    },
    readProxyProgram: async () => "",
  });
  const watch = (leaseS: number, digest: string) => {
    const env = new MockActivityEnvironment();
    return { env, ended: env.run(watchJob, { spec: makeSpec({ leaseS }), digest }) };
  };
  const { spec, desired, memory } = cluster.state;
  const input = { spec, desired, memory, inFlight: [] };
  const { digest }: Turn = await new MockActivityEnvironment().run(planTurn, input);
  const earlier = watch(60, digest);
  const between = watch(0, digest);
  const last = watch(30, digest);
  expect(await earlier.ended).toEqual({ changed: false });
  expect(await between.ended).toEqual({ changed: false });
  renewed.length = 0;
  cluster.setState("demo-decode-0-g1", "exited");
  expect(await last.ended).toEqual({ changed: true });
  expect(renewed).toEqual([30]);
});
