import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { DevState } from "../../../src/dev/state-file.ts";
import { eventually } from "../../support/eventually.ts";
import { root } from "../../support/program.ts";
import { isThorough } from "../../support/thorough.ts";

const client = fileURLToPath(new URL("../../../bin/pdjob-client", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-dev-"));
/** Short, because Ray puts Unix sockets below it. */
const temp = mkdtempSync(join(tmpdir(), "pd-"));
/** Every process of the stack inherits this, so it finds them all. */
const env = {
  PDJOB_STATE_DIR: dir,
  HOME: temp,
  TMPDIR: temp,
  TEMPORAL_ADDRESS: undefined,
  RAY_ADDRESS: undefined,
};
const taken = createServer();
/** Every cluster that is started without a word about it asks for this, once a `ray.init()` has left it there. */
mkdirSync(join(temp, ".ray"));
writeFileSync(join(temp, ".ray", "auth_token"), "a".repeat(64));

beforeAll(() => new Promise<void>((resolve) => void taken.listen(24_233, "127.0.0.1", resolve)));
/** What a test that failed has left would stand in the way of all the others. */
afterEach(() => {
  for (const left of processesLeft()) spawnSync("kill", ["-KILL", left.split(" ")[0] ?? ""]);
});
afterAll(() => {
  taken.close();
  for (const one of [dir, temp]) rmSync(one, { recursive: true, force: true });
});

const startDev = (more: Record<string, string> = {}) =>
  execa(
    process.execPath,
    [client, "dev", "--nodes", "1", "--port", "24233", "--ui-port", "25233"],
    { env: { ...env, ...more }, reject: false, all: true },
  );

/** But for whose turn it is to get ports on this node, which is the next job's business. */
const tempDirs = (): readonly string[] =>
  readdirSync(temp).filter((name) => name.startsWith("pdjob-") && !name.startsWith("pdjob-ports-"));

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
  expect([doctor.exitCode, doctor.stdout]).toEqual([0, expect.not.stringContaining("FAIL")]);
  expect(doctor.stdout).toMatch(/ray +2\.60\.0 at 127\.[\d.]+:\d+: 2 nodes, 8 of 8 GPUs free/);
  expect(doctor.stdout).toMatch(
    /versions +Ray 2\.60\.0 and Python 3[\d.]+, here and on the cluster/,
  );
  expect(doctor.stdout).toMatch(/head node +127[\d.]+ has Node\.js for the built-in proxy/);
  expect(doctor.stdout).toMatch(/proxy port +8021 (is free on|on) 127[\d.]+/);
  const second = await run("dev");
  expect([second.exitCode, second.stderr]).toEqual([
    1,
    expect.stringContaining("An embedded stack runs already"),
  ]);
  dev.kill("SIGINT");
  const { exitCode, all } = await dev;
  expect(exitCode, all).toBe(0);
  expect(processesLeft()).toEqual([]);
  expect(tempDirs()).toEqual([]);
  expect(existsSync(join(dir, "dev.json"))).toBe(false);
});

test("of two devs that are started at the same time one goes on, and Ctrl-C while it starts leaves nothing", async () => {
  const both = [startDev(), startDev()] as const;
  const loser = await Promise.race(both);
  expect([loser.exitCode, loser.all]).toEqual([
    1,
    expect.stringMatching(
      /^Another embedded stack starts or stops in .* at this moment \(pid \d+\)\. Wait for it, or give another --state-dir\.$/,
    ),
  ]);
  const winner = both.find(({ exitCode }) => exitCode === null) ?? both[0];
  await eventually("Ray is starting", () => tempDirs().length > 0);
  winner.kill("SIGINT");
  const { exitCode, all } = await winner;
  expect(exitCode, all).toBe(130);
  expect(processesLeft()).toEqual([]);
  expect(tempDirs()).toEqual([]);
});

test("dev says what to do when its Python has no Ray", async () => {
  const python = join(dir, "python-without-ray");
  const own = fileURLToPath(new URL("../../../.venv/bin/python", import.meta.url));
  writeFileSync(python, `#!/bin/sh\nexec ${own} -S "$@"\n`, { mode: 0o755 });
  const { exitCode, all } = await startDev({ PDJOB_PYTHON: python });
  expect(exitCode).toBe(1);
  expect(all).toContain(
    `${python} has no Ray: run npm run setup in the project's folder, or set PDJOB_PYTHON to a Python that has it. Its log: ${dir}/logs/ray-head.log. Its last lines:\n`,
  );
  expect(processesLeft()).toEqual([]);
});

test("a SIGKILLed dev leaves nothing either, and does not stand in the way of the next", async () => {
  const dev = startDev();
  await untilUp();
  dev.kill("SIGKILL");
  await dev;
  await eventually("everything is gone", () => processesLeft().length === 0, 20_000);
  expect((await run("list")).stderr).toContain("No Temporal server answers at 127.0.0.1:7233");
});

// Two deployments: only CI takes the time.
if (isThorough)
  test("quickstart stops its job when it is interrupted, and no earlier one stands in the way of the next", async () => {
    const interrupted = startQuickstart();
    await untilPrinted(interrupted, "STARTING");
    interrupted.kill("SIGINT");
    const { exitCode, stdout, stderr } = await interrupted;
    expect([exitCode, stderr], stdout).toEqual([130, ""]);
    expect(stdout).not.toContain("goes on");
    expect(stdout).toContain("job quickstart is stopped: 0 actors and 0 placement groups are left");
    expect(processesLeft()).toEqual([]);

    const killed = startQuickstart();
    await untilPrinted(killed, "STARTING");
    killed.kill("SIGKILL");
    await killed;
    await eventually("everything is gone", () => processesLeft().length === 0, 20_000);
    expect(tempDirs().filter((name) => !name.endsWith(".lock"))).toHaveLength(1);
  });

test("npm run quickstart ends with everything that it started when npm is told to end", async () => {
  const npm = execa("npm", ["run", "--silent", "quickstart"], { cwd: root, env, reject: false });
  await untilPrinted(npm, "Ray node");
  npm.kill("SIGTERM");
  const { stdout } = await npm;
  expect(stdout).not.toContain("STARTING");
  await eventually("everything is gone", () => processesLeft().length === 0, 20_000);
});

test("quickstart --exit deploys, talks, stops and leaves nothing", async () => {
  const { exitCode, stdout } = await run("quickstart", "--exit");
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain("The engines of this job are SIMULATED");
  expect(stdout).toMatch(/completion +\w+ /);
  expect(stdout).toMatch(/streamed chat +\w+ .*\(9 events\)/);
  expect(stdout).toContain("job quickstart is stopped: 0 actors and 0 placement groups are left");
  expect(processesLeft()).toEqual([]);
  expect(tempDirs()).toEqual([]);
});

const startQuickstart = () =>
  execa(process.execPath, [client, "quickstart"], { env, reject: false });

function untilPrinted({ stdout }: ReturnType<typeof startQuickstart>, text: string): Promise<void> {
  let seen = "";
  return new Promise((resolve, reject) => {
    stdout.on("data", (part) => {
      seen += String(part);
      if (seen.includes(text)) resolve();
    });
    stdout.once("end", () => reject(new Error(`"${text}" was never printed, but:\n${seen}`)));
  });
}
