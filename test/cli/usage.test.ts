import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadConfig } from "../../src/cli/config-file.ts";
import { buildPrograms, runProgram } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-usage-"));
beforeAll(buildPrograms, 90_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  [["list", "--limit", "0"], "--limit 0: expected a whole number above 0."],
  [
    ["scale", "demo", "decode=0"],
    "decode=0: 1 is the least while the job serves; pdjob-client stop demo ends it.",
  ],
  [["scale", "demo", "decode=300"], "decode=300: 256 is the most."],
  [
    ["start", "examples/quickstart.yaml", "--name", "Bad"],
    "--name Bad: expected 1 to 40 lower-case letters, digits and inner dashes.",
  ],
  [
    ["apply", "examples/quickstart.yaml", "--name", "a_b"],
    "--name a_b: expected 1 to 40 lower-case letters, digits and inner dashes.",
  ],
  [
    ["plan", "examples/quickstart.yaml", "--nodes", "0x8"],
    "--nodes 0x8: expected COUNTxGPUS or COUNTxGPUSxCPUS, at least 1 node, at most 2000. Example: --nodes 2x8,1x4",
  ],
])(
  "%j is refused with exit code 2, by the flag's or the role's own name",
  async (words, message) => {
    const { exitCode, stderr } = await runProgram("pdjob-client", words);
    expect([exitCode, stderr]).toEqual([2, message]);
  },
);

test.each([["plan"], ["apply", "--dry-run"]])(
  "%s tells a script what is wrong with a config as validate does",
  async (...words) => {
    const bad = join(dir, "bad.yaml");
    writeFileSync(bad, "num_gpus: 4\ndecod: {}\n");
    const answer = await runProgram("pdjob-client", [...words, bad, "--json"]);
    expect([answer.exitCode, answer.stderr]).toEqual([2, ""]);
    const { issues } = loadConfig(bad);
    expect(issues.map(({ path }) => path)).toContain("decod");
    expect(JSON.parse(answer.stdout)).toEqual({ ok: false, issues });
  },
);
