import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPrograms, runProgram } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-doctor-"));
const nowhere = { PDJOB_STATE_DIR: dir, TEMPORAL_ADDRESS: "127.0.0.1:9" };

beforeAll(buildPrograms, 90_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("doctor", () => {
  const look = async (flags: readonly string[] = [], more: Record<string, string> = {}) => {
    const env = { ...nowhere, ...more };
    const { exitCode, stdout } = await runProgram(
      "pdjob-client",
      ["doctor", "--json", ...flags],
      env,
    );
    const checks = JSON.parse(stdout) as { name: string; ok: boolean; text: string }[];
    return {
      exitCode,
      checks,
      textOf: (row: string) => checks.find(({ name }) => name === row)?.text,
    };
  };
  const rows = ["node", "python", "temporal CLI", "temporal port", "temporal", "worker"];
  const rayRows = ["ray port", "agent", "ray", "versions", "head node", "proxy port"];

  test("shows every row though nothing runs, each with what to do", async () => {
    const { exitCode, checks, textOf } = await look();
    expect(exitCode).toBe(1);
    expect(checks.map(({ name }) => name)).toEqual([...rows, ...rayRows]);
    expect(checks.slice(0, 3).map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(checks.slice(3).filter(({ ok }) => ok)).toEqual([]);
    expect(textOf("temporal port")).toBe(
      "nothing can be reached at 127.0.0.1:9 (connect ECONNREFUSED 127.0.0.1:9). Start a server (pdjob-client dev), or name another with --address or TEMPORAL_ADDRESS.",
    );
    expect(textOf("worker")).toBe("not checked: see temporal port above");
    expect(textOf("ray port")).toContain("Which Ray cluster? Give --ray-address HOST:PORT");
    expect(textOf("versions")).toBe("not checked: see ray port above");
  });

  /** Something that accepts connections and says nothing. */
  async function withListener(work: (address: string) => Promise<void>): Promise<void> {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
    const bound = silent.address();
    await work(`127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`);
    silent.close();
  }

  test("tells a port where something else listens from one where nothing does", () =>
    withListener(async (address) => {
      const { textOf } = await look(["--address", address, "--ray-address", "127.0.0.1:9"]);
      expect(textOf("temporal port")).toBe(`${address} accepts connections`);
      expect(textOf("temporal")).toContain(`No Temporal server answers at ${address}.`);
      expect(textOf("worker")).toBe("not checked: see temporal above");
      expect(textOf("ray port")).toContain("nothing can be reached at 127.0.0.1:9");
      expect(textOf("ray port")).toContain("name its GCS with --ray-address");
    }));

  test.each([
    [
      "an agent that does not start",
      "echo no such module >&2; exit 7",
      { agent: "exited with code 7. no such module Set PDJOB_PYTHON", versions: "see agent above" },
    ],
    [
      "a cluster of other versions",
      `echo '{"fatal":{"class":"fatal","code":"SpecInvalid","message":"The Ray cluster at X runs another version of Ray or Python: Ray: 2.9.0"}}'; exit 1`,
      {
        agent: "starts with",
        ray: "runs another version",
        versions: "set PDJOB_PYTHON (and --python",
      },
    ],
  ])("tells %s", (_what, script, expected) =>
    withListener(async (address) => {
      const python = join(dir, "python");
      writeFileSync(python, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      const { textOf } = await look(["--ray-address", address], { PDJOB_PYTHON: python });
      for (const [row, text] of Object.entries(expected)) expect(textOf(row)).toContain(text);
      expect(textOf("proxy port")).toBe("not checked: see ray above");
    }),
  );
});
