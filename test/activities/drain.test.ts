import { expect, test } from "vitest";
import { requestsLeft } from "../../src/activities/drain.ts";
import type { ObservedProxy } from "../../src/domain/observed.ts";

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
