import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPrograms, root, runProgram } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-cli-"));
beforeAll(buildPrograms, 90_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("plan refuses a side channel that is another place on each of the nodes", async () => {
  const config = join(dir, "local.yaml");
  const text = readFileSync(join(root, "examples/quickstart.yaml"), "utf8");
  writeFileSync(config, text.replace("envs: {}", "envs: {VLLM_NIXL_SIDE_CHANNEL_HOST: localhost}"));
  const run = (nodes: string) =>
    runProgram("pdjob-client", ["plan", config, "--nodes", nodes], { PDJOB_STATE_DIR: dir });
  const one = await run("1x16");
  expect([one.exitCode, one.stderr]).toEqual([
    0,
    expect.stringContaining("On more than one node the job is refused."),
  ]);
  const two = await run("2x16");
  expect([two.exitCode, two.stdout]).toEqual([2, ""]);
  expect(two.stderr).toContain(
    "decode.envs.VLLM_NIXL_SIDE_CHANNEL_HOST: is localhost, and 2 nodes could hold a replica",
  );
});
