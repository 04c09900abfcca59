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
  ["src/domain", "zod", "./role.ts"],
  ["src/domain/connectors", "../../plan/reconcile.ts", "../role.ts"],
  ["src/config", "../plan/reconcile.ts", "zod"],
  ["src/plan", "node:fs", "../domain/role.ts"],
  ["src/render", "../plan/placement.ts", "../domain/role.ts"],
  ["src/workflows", "../plan/reconcile.ts", "@temporalio/workflow"],
  ["src/activities", "@temporalio/client", "../ray/agent.ts"],
  ["src/ray", "../activities/index.ts", "zod"],
  ["src/proxy", "../ray/agent.ts", "undici"],
  ["src/proxy/attempt", "../../domain/role.ts", "../bytes/body.ts"],
  ["src/sim", "undici", "node:http"],
  ["src/client", "../workflows/messages.ts", "@temporalio/envconfig"],
  ["src/cli", "../activities/index.ts", "commander"],
  ["src/dev", "../workflows/index.ts", "execa"],
  ["bench", "../src/proxy/relay.ts", "execa"],
] as const;

let report = "";

beforeAll(async () => {
  for (const [folder, refused, allowed] of rows) {
    put(`${folder}/refused.ts`, `import { x } from "${refused}";\nexport const y = x;\n`);
    put(`${folder}/allowed.ts`, `import { x } from "${allowed}";\nexport const y = x;\n`);
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
    [join(root, "node_modules/oxlint/bin/oxlint"), "--format=unix", "src", "bench"],
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

describe.each(rows)("%s", (folder, refused, allowed) => {
  test(`may not import ${refused}`, () =>
    expect(complaints(`${folder}/refused.ts`)).toHaveLength(1));
  test(`may import ${allowed}`, () => expect(complaints(`${folder}/allowed.ts`)).toEqual([]));
});

test("src/workflows takes types from activities, and nothing else", () => {
  expect(complaints("src/workflows/types.ts")).toEqual([]);
  expect(complaints("src/workflows/value.ts")).toHaveLength(1);
});

test("src/plan has neither a clock nor dice", () => {
  expect(complaints("src/plan/clock.ts")).toHaveLength(1);
  expect(complaints("src/plan/dice.ts")).toHaveLength(1);
});
