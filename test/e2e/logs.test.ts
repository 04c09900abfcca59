import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/dev/ports.ts";
import { eventually } from "../support/eventually.ts";
import { startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { pidOf } from "../support/processes.ts";

const program = fileURLToPath(new URL("../../bin/pdjob-client", import.meta.url));
const marker = "pdjob SIMULATED engine (no model, no GPU): sim on";
let rig: Rig;

beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => rig.stop());

const options = () => ({
  env: { PDJOB_STATE_DIR: rig.dir, TEMPORAL_ADDRESS: undefined, RAY_ADDRESS: undefined },
  reject: false,
});

const client = (...words: string[]) => execa(process.execPath, [program, ...words], options());

/** One prefill and one decode replica; `rest` is more YAML. */
async function config(name: string, rest = "", prefillEnvs = "{}"): Promise<string> {
  const port = await freePort(28_000 + Math.floor(Math.random() * 2_000));
  const file = join(rig.dir, `${name}.yaml`);
  writeFileSync(
    file,
    `name: ${name}
timeout: 60
num_gpus: 4
working_dir: ${join(rig.dir, name)}
engine: {command: pdjob-sim-engine serve}
scheduler: {port: ${port}}
prefill:
  {num_gpus: 2, replicas: 1, envs: ${prefillEnvs}, params: {model: sim/tiny, served_model_name: sim, kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer}}}
decode:
  {num_gpus: 2, replicas: 1, params: {model: sim/tiny, served_model_name: sim, kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer}}}
${rest}
`,
  );
  return file;
}

const enginePid = async (job: string, name: string): Promise<number> =>
  (await rig.agent.call("list", { job })).replicas.find(
    (one) => `${one.role}-${one.index}` === name,
  )?.pid ?? 0;

/** Kills an engine and waits until the job has replaced it. */
async function replace(job: string, name: string, generation: number): Promise<void> {
  process.kill(await enginePid(job, name), "SIGKILL");
  await eventually(`${name} g${generation} is READY`, async () => {
    const { phase, replicas } = await rig.client.status(job);
    return (
      phase === "READY" &&
      replicas.some((one) => one.name === name && one.generation === generation)
    );
  });
}

describe("logs of a job", () => {
  test("start shows what engines write, with their names, until READY", async () => {
    const { stdout, exitCode } = await client("start", await config("noisy", "stop_grace: 2"));
    expect(exitCode, stdout).toBe(0);
    for (const name of ["prefill-0", "decode-0"])
      expect(stdout).toContain(`${name} g1 | ${marker}`);
    expect(stdout).toContain("READY  OpenAI endpoint");
  });

  test("are read while the engine runs", async () => {
    const { stdout } = await client("logs", "noisy", "prefill-0", "--json");
    const log = JSON.parse(stdout);
    expect(log).toMatchObject({
      job: "noisy",
      replica: "prefill-0",
      generation: 1,
      live: true,
      path: join(rig.dir, "noisy", ".pdjob/logs/noisy-prefill-0-g1.log"),
    });
    expect(log.lines[0]).toContain(marker);
    expect((await client("logs", "noisy", "prefill-0", "--tail", "1")).stdout).toBe(
      log.lines.at(-1),
    );
    expect(readFileSync(log.path, "utf8").trimEnd().split("\n")).toEqual(log.lines);
  });

  test("are followed over a restart, and read of the generation before", async () => {
    const following = client("logs", "noisy", "prefill-0", "--follow", "--tail", "all");
    let seen = "";
    following.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    const sees = (times: number) =>
      eventually(`${times} engines are followed`, () => seen.split(marker).length === times + 1);
    await sees(1);
    await replace("noisy", "prefill-0", 2);
    await sees(2);
    following.kill("SIGINT");
    const followed = await following;
    expect(followed.stderr).toContain("prefill-0 g1 is gone; g2 follows.");

    const previous = await client("logs", "noisy", "prefill-0", "--previous");
    expect(previous.stdout).toContain(marker);
    const host = (await rig.client.status("noisy")).logs?.find(
      ({ name }) => name === "prefill-0",
    )?.host;
    const path = join(rig.dir, "noisy", ".pdjob/logs/noisy-prefill-0-g1.log");
    expect(previous.stderr).toBe(`prefill-0 g1 has ended; its log is ${host}:${path}`);
    expect((await client("logs", "noisy", "prefill-0", "--generation", "1")).stdout).toBe(
      previous.stdout,
    );
    expect((await client("logs", "noisy", "decode-0", "--previous")).stderr).toBe(
      "decode-0 of job noisy is at generation 1: nothing ran before.",
    );
    const never = await client("logs", "noisy", "decode-0", "--generation", "7");
    expect([never.exitCode, never.stderr]).toEqual([
      1,
      expect.stringMatching(
        /^There is no log of noisy-decode-0-g7: no file .* on any of 3 nodes\./,
      ),
    ]);
  });

  test("are read after the job was stopped", async () => {
    await rig.client.stop("noisy");
    await rig.client.result("noisy");
    for (const name of ["prefill-0", "decode-0"]) {
      const { stdout, stderr, exitCode } = await client("logs", "noisy", name);
      expect(exitCode, stderr).toBe(0);
      expect(stdout, stderr).toContain("API server: shutdown triggered");
    }
    expect((await client("logs", "noisy", "proxy")).exitCode).toBe(0);
    const none = await client("logs", "noisy", "decode-9");
    expect([none.exitCode, none.stderr]).toEqual([
      4,
      "Job noisy has no decode-9 on this cluster. It has: decode-0, prefill-0, proxy.",
    ]);
  });
});

test("start shows the last lines of an engine that fails, and without engine logs only progress", async () => {
  const envs = '{PDJOB_SIM_BOOT_FAILURE: "out of memory"}';
  const loud = await client("start", await config("loud", "", envs));
  expect(loud.exitCode).toBe(1);
  expect(loud.stderr).toContain("ERROR out of memory");
  const quiet = await client("start", await config("quiet"), "--no-follow-engine-logs");
  expect(quiet.exitCode).toBe(0);
  expect(quiet.stdout).not.toContain(marker);
  await rig.client.stop("quiet");
  await rig.client.result("quiet");
});

test("Ctrl-C during start stops following and leaves the job alone, engine logs or not", async () => {
  const file = await config("patient", "", '{PDJOB_SIM_BOOT_MS: "20000"}');
  // As a terminal does it: the whole process group hears the signal.
  const starting = execa(process.execPath, [program, "start", file], {
    ...options(),
    detached: true,
  });
  let seen = "";
  starting.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
  await eventually("it shows that engines start", () => seen.includes("STARTING"));
  process.kill(-pidOf(starting), "SIGINT");
  const { exitCode, stderr } = await starting;
  expect([exitCode, stderr.trim()]).toEqual([
    130,
    expect.stringMatching(/^Not followed any more; job patient goes on\./),
  ]);
  expect((await rig.client.status("patient")).phase).toBe("DEPLOYING");
  await rig.client.stop("patient");
  await rig.client.result("patient");
});

test("the environment of real processes: global under general under role, the proxy has the global one", async () => {
  const rest = `envs: {WHO: global, ONLY_GLOBAL: 1, PASSED: "env:HOME", EXACT: 1.0, EMPTY: ""}
general: {envs: {WHO: general, ONLY_GENERAL: yes}}`;
  const file = await config("envs", rest, "{WHO: prefill, ONLY_PREFILL: '{ROLE}-{INDEX}'}");
  expect((await client("start", file, "--no-follow-engine-logs")).exitCode).toBe(0);
  await untilPhase(rig.client, "envs", "READY");
  const { replicas, proxies } = await rig.agent.call("list", { job: "envs" });
  const environs = Object.fromEntries(
    [...replicas, ...proxies].map(({ name, pid }) => [name, environOf(pid ?? 0)]),
  );
  const common = { ONLY_GLOBAL: "1", PASSED: process.env["HOME"], EXACT: "1.0", EMPTY: "" };
  expect(environs).toEqual({
    "envs-prefill-0-g1": {
      ...common,
      WHO: "prefill",
      ONLY_GENERAL: "yes",
      ONLY_PREFILL: "prefill-0",
    },
    "envs-decode-0-g1": { ...common, WHO: "general", ONLY_GENERAL: "yes" },
    "envs-proxy-g1": { ...common, WHO: "global" },
  });
  await rig.client.stop("envs");
  await rig.client.result("envs");
});

function environOf(pid: number): Readonly<Record<string, string>> {
  const ours = /^(WHO|ONLY_GLOBAL|ONLY_GENERAL|ONLY_PREFILL|PASSED|EXACT|EMPTY)=/;
  const lines = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return Object.fromEntries(
    lines
      .filter((line) => ours.test(line))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}
