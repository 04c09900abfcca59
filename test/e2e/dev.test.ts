import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DevState } from "../../src/dev/state-file.ts";
import { eventually } from "../support/eventually.ts";

const client = fileURLToPath(new URL("../../bin/pdjob-client", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-dev-"));
/** Every process of the stack inherits this, so it finds them all. */
const env = { PDJOB_STATE_DIR: dir, TEMPORAL_ADDRESS: undefined, RAY_ADDRESS: undefined };
const taken = createServer();

beforeAll(() => new Promise<void>((resolve) => void taken.listen(24_233, "127.0.0.1", resolve)));
afterAll(() => {
  taken.close();
  rmSync(dir, { recursive: true, force: true });
});

const startDev = () =>
  execa(
    process.execPath,
    [client, "dev", "--nodes", "1", "--port", "24233", "--ui-port", "25233"],
    { env, reject: false, all: true },
  );

const untilUp = (): Promise<DevState> =>
  eventually(
    "the stack is up",
    () =>
      existsSync(join(dir, "dev.json"))
        ? (JSON.parse(readFileSync(join(dir, "dev.json"), "utf8")) as DevState)
        : undefined,
    60_000,
  );

const run = (...words: string[]) =>
  execa(process.execPath, [client, ...words], { env, reject: false });

function processesLeft(): readonly string[] {
  const pids = readdirSync("/proc").filter(
    (entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid,
  );
  return pids
    .filter((pid) =>
      readOrEmpty(`/proc/${pid}/environ`).split("\0").includes(`PDJOB_STATE_DIR=${dir}`),
    )
    .map((pid) => `${pid} ${readOrEmpty(`/proc/${pid}/cmdline`)}`);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

test("dev takes free ports, is found by the other verbs with no flags, and leaves nothing on Ctrl-C", async () => {
  const dev = startDev();
  const { temporalAddress } = await untilUp();
  expect(temporalAddress).toBe("127.0.0.1:24234");
  expect((await run("list")).stdout).toBe("no jobs");
  const doctor = await run("doctor");
  expect(doctor.stdout).not.toContain("FAIL");
  expect(doctor.stdout).toMatch(/ray +2\.60\.0 at 127\.[\d.]+:\d+: 2 nodes, 8 of 8 GPUs free/);
  const second = await run("dev");
  expect([second.exitCode, second.stderr]).toEqual([
    1,
    expect.stringContaining("An embedded stack runs already"),
  ]);
  dev.kill("SIGINT");
  const { exitCode, all } = await dev;
  expect(exitCode, all).toBe(0);
  expect(processesLeft()).toEqual([]);
  expect(existsSync(join(dir, "dev.json"))).toBe(false);
});

test("a SIGKILLed dev leaves nothing either, and does not stand in the way of the next", async () => {
  const dev = startDev();
  await untilUp();
  dev.kill("SIGKILL");
  await dev;
  await eventually("everything is gone", () => processesLeft().length === 0, 20_000);
  expect((await run("list")).stderr).toContain("No Temporal server answers at 127.0.0.1:7233");
});

test("quickstart --exit deploys, talks, stops and leaves nothing", async () => {
  const { exitCode, stdout } = await run("quickstart", "--exit");
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain("The engines of this job are SIMULATED");
  expect(stdout).toMatch(/completion +\w+ /);
  expect(stdout).toMatch(/streamed chat +\w+ .*\(9 events\)/);
  expect(stdout).toContain("job quickstart is stopped: 0 actors and 0 placement groups are left");
  expect(processesLeft()).toEqual([]);
});
