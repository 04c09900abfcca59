import { describe, expect, test } from "vitest";
import { mayPair as mayPairByPlan } from "../../src/domain/revision.ts";
import { mayPair as mayPairByProxy } from "../../src/proxy/selection/pair.ts";

/** Pairings of one and of the other; absent = it is of a time before there were any. */
const table: readonly [readonly number[] | undefined, readonly number[] | undefined, boolean][] = [
  [undefined, undefined, true],
  [undefined, [1], true],
  [undefined, [], true],
  [[1], [1], true],
  [[1], [2], false],
  [[1, 2], [2, 3], true],
  [[1, 2], [3, 4], false],
  [[], [1], false],
  [[], [], false],
];

/** The plan decides who serves, and the proxy whom it pairs: they must not differ. */
describe.each([
  ["the plan", mayPairByPlan],
  ["the proxy", mayPairByProxy],
])("whom %s pairs", (_, mayPair) => {
  const member = (role: "prefill" | "decode", pairings: readonly number[] | undefined) => ({
    name: role,
    role,
    url: "",
    ...(pairings ? { pairings } : {}),
  });

  test.each(table)("%j with %j: %s", (one, other, expected) => {
    expect(mayPair(member("prefill", one), member("decode", other))).toBe(expected);
    expect(mayPair(member("prefill", other), member("decode", one))).toBe(expected);
  });
});
