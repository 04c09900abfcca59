import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-imports-"));

/** One file per row of the table in ARCHITECTURE.md: an import that must be refused, and one that must not. */
const rows = [
  ["domain", "zod", "./role.ts"],
  ["domain/connectors", "../../plan/reconcile.ts", "../role.ts"],
  ["config", "../plan/reconcile.ts", "zod"],
  ["plan", "node:fs", "../domain/role.ts"],
  ["render", "../plan/placement.ts", "../domain/role.ts"],
  ["workflows", "../plan/reconcile.ts", "@temporalio/workflow"],
  ["activities", "@temporalio/client", "../ray/agent.ts"],
  ["ray", "../activities/index.ts", "zod"],
  ["proxy", "../ray/agent.ts", "undici"],
  ["sim", "undici", "node:http"],
  ["client", "../workflows/messages.ts", "@temporalio/envconfig"],
  ["cli", "../activities/index.ts", "commander"],
  ["dev", "../workflows/index.ts", "execa"],
] as const;

let report = "";

beforeAll(async () => {
  for (const [folder, refused, allowed] of rows) {
    put(`src/${folder}/refused.ts`, `import { x } from "${refused}";\nexport const y = x;\n`);
    put(`src/${folder}/allowed.ts`, `import { x } from "${allowed}";\nexport const y = x;\n`);
  }
  put(
    "src/workflows/value.ts",
    'import { createActivities } from "../activities/index.ts";\nexport const y = createActivities;\n',
  );
  put(
    "src/workflows/types.ts",
    'import type { Activities } from "../activities/index.ts";\nexport type Y = Activities;\n',
  );
  put("src/plan/clock.ts", "export const now = (): number => Date.now();\n");
  put("src/plan/dice.ts", "export const dice = (): number => Math.random();\n");
  writeFileSync(join(dir, ".oxlintrc.json"), readFileSync(join(root, ".oxlintrc.json")));
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  const { stdout } = await execa(
    process.execPath,
    [join(root, "node_modules/oxlint/bin/oxlint"), "--format=unix", "src"],
    { cwd: dir, reject: false },
  );
  report = stdout;
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), text);
}

const complaints = (path: string): readonly string[] =>
  report.split("\n").filter((line) => line.startsWith(path) && /no-restricted/.test(line));

describe.each(rows)("src/%s", (folder, refused, allowed) => {
  test(`may not import ${refused}`, () =>
    expect(complaints(`src/${folder}/refused.ts`)).toHaveLength(1));
  test(`may import ${allowed}`, () => expect(complaints(`src/${folder}/allowed.ts`)).toEqual([]));
});

test("src/workflows takes types from activities, and nothing else", () => {
  expect(complaints("src/workflows/types.ts")).toEqual([]);
  expect(complaints("src/workflows/value.ts")).toHaveLength(1);
});

test("src/plan has neither a clock nor dice", () => {
  expect(complaints("src/plan/clock.ts")).toHaveLength(1);
  expect(complaints("src/plan/dice.ts")).toHaveLength(1);
});
