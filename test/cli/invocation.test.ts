import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { linesFor, shownPath } from "../../src/cli/invocation.ts";
import { userStateDir } from "../../src/dev/state-file.ts";
import { root } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-invocation-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const usual = { stateDir: userStateDir(), temporalAddress: "127.0.0.1:7233" };
const nowhere = { XDG_CONFIG_HOME: "/nonexistent", PATH: "", INIT_CWD: root };

describe("a line to type", () => {
  test("names the program by a path from where the user is, unless it is on PATH", async () => {
    const lineIn = async (env: Record<string, string>) =>
      (await linesFor(usual, { ...nowhere, ...env })).client("status", "demo");
    expect(await lineIn({})).toBe("./bin/pdjob-client status demo");
    expect(await lineIn({ INIT_CWD: "/" })).toBe(`.${root}bin/pdjob-client status demo`);
    expect(await lineIn({ INIT_CWD: dir })).toBe(`${root}bin/pdjob-client status demo`);
    writeFileSync(join(dir, "pdjob-client"), "");
    expect(await lineIn({ PATH: `/nonexistent:${dir}` })).toBe("pdjob-client status demo");
    expect(shownPath("examples/quickstart.yaml", nowhere)).toBe("./examples/quickstart.yaml");
  });

  test("names the stack's folder when that is not the usual one", async () => {
    const { client } = await linesFor({ ...usual, stateDir: "/my dir" }, nowhere);
    expect(client("stop", "demo")).toBe("./bin/pdjob-client stop demo --state-dir '/my dir'");
  });

  test("runs a temporal CLI that is there, and asks the stack rather than the user's own server", async () => {
    const plain = await linesFor(usual, nowhere);
    expect(plain.temporal("workflow", "list")).toMatch(
      /^(temporal|\/.*\/temporal) --address 127\.0\.0\.1:7233 workflow list$/,
    );
    const cloud = { ...nowhere, TEMPORAL_API_KEY: "secret" };
    const { client, temporal } = await linesFor(usual, cloud);
    expect(temporal("workflow", "list")).toContain(
      "--address 127.0.0.1:7233 --disable-config-file --disable-config-env workflow list",
    );
    expect(client("list")).toBe(`./bin/pdjob-client list --state-dir ${userStateDir()}`);
  });
});
