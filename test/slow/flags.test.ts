import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { flagAliases, flagChoices, flagKinds } from "../../src/sim/flags.ts";
import { askVllm, setUpReal } from "./real.ts";

interface Parser {
  readonly kinds: Readonly<Record<string, string>>;
  readonly aliases: Readonly<Record<string, string>>;
  readonly choices: Readonly<Record<string, readonly string[]>>;
}

const dir = mkdtempSync(join(tmpdir(), "pdjob-flags-"));
let real: Parser;

beforeAll(async () => {
  await setUpReal(dir);
  real = await askVllm("flags.py");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("the simulated engine takes every flag of vLLM's parser, each of its kind, and no other", () => {
  expect(Object.fromEntries(flagKinds)).toEqual(real.kinds);
});

test("it takes the same short flags", () => {
  expect(flagAliases).toEqual(real.aliases);
});

test("the choices that it knows are vLLM's", () => {
  for (const [name, choices] of Object.entries(flagChoices))
    expect([name, choices]).toEqual([name, real.choices[name]]);
});
