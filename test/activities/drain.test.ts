import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { requestsLeft, untilLeft } from "../../src/activities/drain.ts";
import type { ObservedProxy } from "../../src/domain/observed.ts";
import type { Agent } from "../../src/ray/agent.ts";

const proxy = (
  state: ObservedProxy["state"],
  inFlight?: Readonly<Record<string, number>>,
): ObservedProxy => ({
  name: "demo-proxy-g1",
  generation: 1,
  state,
  ...(inFlight ? { inFlight } : {}),
});

test.each([
  ["no proxy", [], 0],
  ["a proxy that said so", [proxy("healthy", { a: 2, b: 1 })], 2],
  ["a proxy without requests there", [proxy("healthy", { b: 1 })], 0],
  ["a proxy that does not answer", [proxy("lost")], undefined],
  ["a proxy that hangs", [proxy("unhealthy", { a: 2 })], undefined],
  ["a proxy whose process ended", [proxy("exited", { a: 2 })], 0],
  ["two proxies", [proxy("healthy", { a: 2 }), proxy("healthy", { a: 1 })], 3],
] as const)("requests left on a replica, by %s: %j → %s", (_who, proxies, left) =>
  expect(requestsLeft(proxies, "a")).toBe(left),
);

test("without a replica, all requests count", () =>
  expect(requestsLeft([proxy("healthy", { a: 2, b: 1 })])).toBe(3));

test("a proxy that was replaced is told its successor's members before it retires, so that nobody who waits there is refused", async () => {
  const members = [{ name: "demo-prefill-0-g2", role: "prefill", url: "http://10.0.0.1:8100" }];
  const newer = { name: "demo-proxy-g2", generation: 2, membership: { generation: 7, members } };
  const calls: unknown[] = [];
  let leaving: number | undefined;
  const agent = {
    call(verb: string, args: object) {
      if (verb === "list") {
        const told = { generation: 6, members: [] };
        const older = { name: "demo-proxy-g1", generation: 1, membership: told, leaving };
        const proxies = [older, newer].map((one) => ({ ...one, state: "healthy" }));
        return Promise.resolve({ proxies });
      }
      calls.push([verb, args]);
      if (verb === "retireProxy") leaving = 0;
      return Promise.resolve({});
    },
  } as unknown as Agent;
  const endMs = Date.now() + 60_000;
  const wish = { job: "demo", name: "demo-proxy-g1", nowMs: Date.now, endMs, longestMs: 60_000 };
  const activity = () => untilLeft(agent, wish);
  expect(await new MockActivityEnvironment().run(activity)).toEqual({ left: 0 });
  expect(calls).toEqual([
    ["setMembership", { name: "demo-proxy-g1", membership: newer.membership }],
    ["retireProxy", { name: "demo-proxy-g1" }],
  ]);
});
