import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { flagAliases, flagChoices, flagKinds } from "../../src/sim/flags.ts";
import { engineEnv, python, setUpReal } from "./real.ts";

interface Parser {
  readonly kinds: Readonly<Record<string, string>>;
  readonly aliases: Readonly<Record<string, string>>;
  readonly choices: Readonly<Record<string, readonly string[]>>;
}

const dir = mkdtempSync(join(tmpdir(), "pdjob-flags-"));
let real: Parser;

beforeAll(async () => {
  await setUpReal(dir);
  const script = fileURLToPath(new URL("flags.py", import.meta.url));
  const { stdout } = await execa(python, [script], { env: engineEnv });
  real = JSON.parse(stdout.split("\n").at(-1) ?? "") as Parser;
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
