import { createServer } from "node:net";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPrograms, root, runProgram } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob worker "));
const silent = createServer(() => undefined);
const ray = ["--ray-address", "127.0.0.1:9"];

beforeAll(async () => {
  await buildPrograms();
  await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
}, 240_000);
afterAll(() => {
  silent.close();
  rmSync(dir, { recursive: true, force: true });
});

describe("pdjob-worker ends with 2 and says how it is used when", () => {
  test.each([
    [["--bogus"], "pdjob-worker: Unknown option '--bogus'"],
    [[], "pdjob-worker: Which Ray cluster? Give --ray-address HOST:PORT or set RAY_ADDRESS"],
    [["--ray-address", "auto"], "pdjob-worker: Which Ray cluster?"],
  ])("its words are %j", async (words, message) => {
    const { exitCode, stderr } = await runProgram("pdjob-worker", words);
    expect(stderr).toContain(message);
    expect(stderr).toContain("Usage: pdjob-worker --ray-address HOST:PORT [options]");
    expect(stderr).not.toContain("    at ");
    expect(exitCode).toBe(2);
  });

  test("the profile does not exist", async () => {
    const { exitCode, stderr } = await runProgram("pdjob-worker", [...ray, "--profile", "nope"]);
    expect(stderr).toContain("temporalio/temporal.toml: there is no profile nope.");
    expect(exitCode).toBe(2);
  });
});

describe("pdjob-worker ends with 3 and one sentence when", () => {
  const none = (address: string): string =>
    `pdjob-worker: No Temporal server answers at ${address}. Start it, or name another with --address, --profile or TEMPORAL_ADDRESS.`;

  test("nothing listens", async () => {
    const { exitCode, stderr } = await runProgram("pdjob-worker", [
      ...ray,
      "--address",
      "127.0.0.1:9",
    ]);
    expect([exitCode, stderr]).toEqual([3, none("127.0.0.1:9")]);
  });

  test("what listens says nothing", async () => {
    const bound = silent.address();
    const address = `127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
    const { exitCode, stderr } = await runProgram("pdjob-worker", [...ray, "--address", address]);
    expect([exitCode, stderr]).toEqual([3, none(address)]);
  });
});

test.each(["pdjob-client", "pdjob-worker", "pdjob-sim-engine"])(
  "%s of a folder that was not set up says what to run, in one line",
  async (program) => {
    cpSync(join(root, "bin"), join(dir, "bin"), { recursive: true });
    const { exitCode, stderr } = await execa(process.execPath, [join(dir, "bin", program)], {
      reject: false,
    });
    expect(stderr).toBe(`pdjob is not set up. Run this once: npm --prefix '${dir}/' run setup`);
    expect(exitCode).toBe(2);
  },
);
