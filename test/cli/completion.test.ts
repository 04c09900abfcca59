import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPrograms, runProgram } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-completion-"));
const run = (...words: string[]) => runProgram("pdjob-client", words);

beforeAll(buildPrograms, 90_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("bash completes", () => {
  /** What the script offers for these words, with a program that answers as ours does. */
  async function complete(...words: string[]): Promise<string> {
    const { stdout: script } = await run("completion", "bash");
    const status = { replicas: [{ name: "prefill-0" }, { name: "decode-1" }], job: "demo" };
    writeFileSync(
      join(dir, "pdjob-client"),
      `#!/bin/sh
case "$1 $2 $3" in
  "list  ") printf 'JOB PHASE\\nblue READY\\ndemo READY\\n' ;;
  "status demo --json") echo '${JSON.stringify(status, null, 2)}' ;;
esac
`,
      { mode: 0o755 },
    );
    const line = `${script}\nCOMP_WORDS=(pdjob-client ${words.join(" ")}); COMP_CWORD=${words.length}; _pdjob_client; echo "\${COMPREPLY[@]}"`;
    const env = { PATH: `${dir}:${process.env["PATH"]}` };
    return (await execa("bash", ["-c", line], { env })).stdout;
  }

  test.each([
    ["verbs", ["st"], "start status stop"],
    ["the flags of a verb", ["plan", "--"], "--vllm-version --json --nodes --endpoints --help"],
    ["the names of jobs", ["stop", "''"], "blue demo"],
    ["the names of jobs", ["scale", "b"], "blue"],
    ["no names of jobs where none is taken", ["doctor", "blue"], ""],
    ["the names of a job's replicas", ["logs", "demo", "''"], "proxy prefill-0 decode-1"],
    ["the names of a job's replicas", ["restart", "demo", "d"], "decode-1"],
    ["no replicas of a job that is not there", ["logs", "nope", "''"], "proxy"],
  ])("%s", async (_what, words, offered) => {
    expect(await complete(...words)).toBe(offered);
  });

  test("and refuses a shell that it does not know", async () => {
    expect((await run("completion", "fish")).exitCode).toBe(2);
  });
});
