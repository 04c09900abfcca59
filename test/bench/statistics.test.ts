import fc from "fast-check";
import { expect, test } from "vitest";
import { median, medianOf, orderOf, ratioOf } from "../../bench/statistics.ts";

const figures = fc.array(fc.double({ min: 0.1, max: 1e6, noNaN: true }), {
  minLength: 1,
  maxLength: 9,
});

test("a median is the middle one, or between the two in the middle", () => {
  expect([median([5, 1, 3]), median([4, 1, 2, 3]), median([7])]).toEqual([3, 2.5, 7]);
  expect(median([])).toBeNaN();
});

test("an interval holds the figure that it is of, and is the same for the same samples", () => {
  fc.assert(
    fc.property(figures, (values) => {
      const { value, low, high } = medianOf(values);
      expect(low).toBeLessThanOrEqual(value);
      expect(high).toBeGreaterThanOrEqual(value);
      expect(medianOf(values)).toEqual({ value, low, high });
    }),
    { numRuns: 20 },
  );
});

test("a ratio is of medians", () => {
  expect(ratioOf([10, 20, 90], [1, 2, 3]).value).toBe(10);
});

test("what disturbs both sides of a round alike leaves a ratio sure", () => {
  const disturbed = [1, 3, 1, 5, 1, 2, 1];
  const ratio = ratioOf(
    disturbed.map((factor) => 40 * factor),
    disturbed.map((factor) => 10 * factor),
  );
  expect(ratio).toEqual({ value: 4, low: 4, high: 4 });
});

test("an interval is as wide as the rounds differ", () => {
  const narrow = ratioOf([40, 41, 40, 39, 40, 41, 40], [10, 10, 10, 10, 10, 10, 10]);
  const wide = ratioOf([40, 80, 20, 40, 70, 25, 40], [10, 10, 10, 10, 10, 10, 10]);
  expect([narrow.low, narrow.high]).toEqual([4, 4.1]);
  expect([wide.low, wide.high]).toEqual([2.5, 7]);
});

test("rounds go there and back", () => {
  const rounds = [0, 1, 2, 3].flatMap((round) => orderOf(["A", "B", "C"], round)).join("");
  expect(rounds).toBe("ABCCBAABCCBA");
});
