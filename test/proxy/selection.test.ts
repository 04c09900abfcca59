import { parseArgs } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  defaultDegraded,
  defaultSelection as defaultSpec,
  policies,
  withoutPrefill,
} from "../../src/domain/selection.ts";
import type { DegradedSpec, SelectionSpec } from "../../src/domain/selection.ts";
import {
  defaultSelection,
  readSelection,
  selectionFlags,
} from "../../src/proxy/selection/selection.ts";
import type { Selection } from "../../src/proxy/selection/selection.ts";
import { renderProxy } from "../../src/render/proxy.ts";
import { makeSpec } from "../support/spec.ts";

const builtin = { port: 8021, membership: "builtin" } as const;

const wordsOf = (more: { selection?: SelectionSpec; degraded?: DegradedSpec }) =>
  renderProxy(makeSpec({ scheduler: { ...builtin, ...more } }), []).argv.slice(8);

const read = (args: readonly string[]): Selection =>
  readSelection(parseArgs({ args: [...args], options: selectionFlags }).values);

const asRead = (
  { prefill, decode, prefixBytes, rampS, silenceS, ejectionS }: SelectionSpec,
  degraded: DegradedSpec,
): Selection => ({
  policy: { prefill, decode },
  prefixBytes,
  rampMs: rampS * 1_000,
  silenceMs: silenceS === 0 ? Infinity : silenceS * 1_000,
  ejectionMs: ejectionS * 1_000,
  withoutPrefill: degraded.prefill,
});

test("the program's defaults are those of the config, and take no words", () => {
  expect(defaultSelection).toEqual(asRead(defaultSpec, defaultDegraded));
  expect(wordsOf({})).toEqual([]);
  expect(wordsOf({ selection: defaultSpec, degraded: defaultDegraded })).toEqual([]);
});

test("what differs is on the command line, and nothing else", () => {
  expect(
    wordsOf({
      selection: { ...defaultSpec, prefill: "prefix-affinity", silenceS: 0 },
      degraded: { prefill: "decode-local", decode: "fail" },
    }),
  ).toEqual([
    "--select-prefill",
    "prefix-affinity",
    "--silence",
    "0",
    "--without-prefill",
    "decode-local",
  ]);
});

test("whatever is rendered, the program reads what was meant", () => {
  const seconds = fc.nat(3_600);
  const selections = fc.record({
    prefill: fc.constantFrom(...policies.prefill),
    decode: fc.constantFrom(...policies.decode),
    prefixBytes: fc.integer({ min: 1, max: 1024 * 1024 }),
    rampS: seconds,
    silenceS: seconds,
    ejectionS: seconds,
  });
  const degradations = fc.record({
    prefill: fc.constantFrom(...withoutPrefill),
    decode: fc.constant("fail" as const),
  });
  fc.assert(
    fc.property(selections, degradations, (selection, degraded) => {
      expect(read(wordsOf({ selection, degraded }))).toEqual(asRead(selection, degraded));
    }),
  );
});

describe("a word that the program does not know", () => {
  test.each([
    [
      ["--select-prefill", "random"],
      "--select-prefill is one of least-loaded, power-of-two, prefix-affinity, not random",
    ],
    [["--ramp", "1.5"], "--ramp is a whole number, not 1.5"],
    [["--without-prefill", "hope"], "--without-prefill is one of fail, decode-local, not hope"],
  ])("%j is told", (words, message) => {
    expect(() => read(words)).toThrow(message);
  });
});
