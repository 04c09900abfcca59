import { expect, test } from "vitest";
import { engineLogPrinter } from "../../src/cli/engine-logs.ts";

function printer() {
  const lines: string[] = [];
  return { lines, show: engineLogPrinter("demo", (line) => lines.push(line)) };
}

test("whole lines are shown with the replica's name, however the pieces are cut", () => {
  const { lines, show } = printer();
  show.piece("demo-prefill-0-g1", "prefill-0 g1", { text: "one\ntw", offset: 6, size: 6 });
  show.piece("demo-decode-0-g1", "decode-0 g1", { text: "up\n", offset: 3, size: 3 });
  show.piece("demo-prefill-0-g1", "prefill-0 g1", { text: "o\n\n", offset: 9, size: 9 });
  expect(lines).toEqual([
    "prefill-0 g1 | one",
    "decode-0 g1 | up",
    "prefill-0 g1 | two",
    "prefill-0 g1 | ",
  ]);
  expect(show.offsetOf("demo-prefill-0-g1")).toBe(9);
  expect(show.offsetOf("demo-prefill-0-g2")).toBe(0);
});

test("a flood is cut, long lines too, and what is left out can be read elsewhere", () => {
  const { lines, show } = printer();
  const text = `${"x".repeat(2_000)}\n${"y\n".repeat(99)}`;
  show.piece("demo-prefill-0-g1", "prefill-0 g1", { text, offset: 2_199, size: 2_199 });
  expect(lines).toHaveLength(51);
  expect(lines[0]).toBe(`prefill-0 g1 | ${"x".repeat(500)}…`);
  expect(lines.at(-1)).toBe(
    "prefill-0 g1 | … not all is shown: pdjob-client logs demo prefill-0 --tail all",
  );
});

test("an engine that writes faster than it is read is followed at its newest lines", () => {
  const { lines, show } = printer();
  show.piece("demo-prefill-0-g1", "prefill-0 g1", { text: "old\n", offset: 4, size: 1_000_000 });
  expect(show.offsetOf("demo-prefill-0-g1")).toBe(1_000_000 - 32 * 1024);
  expect(lines).toHaveLength(2);
});
