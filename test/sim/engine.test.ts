import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { expectedText, renderChat } from "../../src/sim/text.ts";
import { launch, ownPort, untilHealthy } from "../contract/bed.ts";
import type { Bed, Engine } from "../contract/bed.ts";
import { chat, complete, ids, prefill, textOf } from "../contract/calls.ts";
import { metric, promptTokensBy } from "../contract/metrics-text.ts";
import { openStream } from "../contract/open-stream.ts";
import { nixl } from "../contract/trio.ts";
import { eventually } from "../support/eventually.ts";
import { pidOf, treeOf } from "../support/processes.ts";

// What is special to the simulation. What it has in common with vLLM is in test/contract.
const root = fileURLToPath(new URL("../../", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-sim-"));
const bed: Bed = {
  command: [process.execPath, `${root}bin/pdjob-sim-engine`, "serve", "sim/tiny"],
  env: { PDJOB_SIM_BOOT_MS: "50", PDJOB_SIM_TOKEN_MS: "1", PDJOB_SIM_HANDSHAKE_MS: "200" },
  dir,
  bootTimeoutMs: 20_000,
  patienceMs: 10_000,
  longStreamTokens: 1_000,
  leaseS: 30,
};
const served = ["--served-model-name", "tiny"];
const running: Engine[] = [];
beforeAll(async () => void (await execa(process.execPath, [`${root}scripts/build.mjs`])), 60_000);
afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function start(
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Engine> {
  const engine = await launch({ ...bed, env: { ...bed.env, ...env } }, `e${running.length}`, [
    ...served,
    ...flags,
  ]);
  running.push(engine);
  await untilHealthy(engine, bed);
  return engine;
}

test("every answer is known beforehand, and says that no model made it", async () => {
  const engine = await start([]);
  const whole = await complete(engine, { prompt: "a b", max_tokens: 7 });
  expect(whole.json()).toMatchObject({
    choices: [{ text: expectedText("sim/tiny", "a b", 7), finish_reason: "length" }],
    usage: { prompt_tokens: 2, completion_tokens: 7 },
    system_fingerprint: "pdjob-simulated-engine",
  });
  const messages = [{ role: "user", content: [{ type: "text", text: "hi" }] }];
  const said = await chat(engine, { messages, max_tokens: 3 });
  expect(said.json()).toMatchObject({
    choices: [{ message: { content: expectedText("sim/tiny", renderChat(messages), 3) } }],
  });
});

describe("KV that is not what it should be is heard in the words:", () => {
  test("another prompt's", async () => {
    const [p, d] = [await start(nixl("kv_producer")), await start(nixl("kv_consumer"))];
    const params = await prefill(p, "mine");
    const body = { prompt: "yours", max_tokens: 4, kv_transfer_params: params };
    expect(await textOf(d, body)).toBe(expectedText("sim/tiny", "mine", 4));
  });

  test("a block's that was free already, so that a proxy which uses parameters twice is found out", async () => {
    const [p, d] = [await start(nixl("kv_producer")), await start(nixl("kv_consumer"))];
    const params = await prefill(p, "mine");
    const body = { prompt: "mine", max_tokens: 4, kv_transfer_params: params };
    expect(await textOf(d, body)).toBe(expectedText("sim/tiny", "mine", 4));
    expect(await textOf(d, body)).not.toBe(expectedText("sim/tiny", "mine", 4));
  });
});

test("a failed load is recomputed when the policy says so", async () => {
  const p = await start(nixl("kv_producer"));
  const d = await start(nixl("kv_consumer", { kv_load_failure_policy: "recompute" }));
  const params = await prefill(p, "late");
  await p.stop();
  const body = { prompt: "late", max_tokens: 2, kv_transfer_params: params };
  expect(await textOf(d, body)).toBe(expectedText("sim/tiny", "late", 2));
  expect(await promptTokensBy(d, "local_compute")).toBe(1);
});

test("engines of another model or layout refuse each other's KV", async () => {
  const p = await start([...nixl("kv_producer"), "--dtype", "float16"]);
  const d = await start([...nixl("kv_consumer"), "--dtype", "float32"]);
  const params = await prefill(p, "mine");
  const answer = await complete(d, { prompt: "mine", kv_transfer_params: params });
  expect(answer.status).toBe(500);
});

describe("ExampleConnector", () => {
  const example = (path: string) => ({
    kv_connector: "ExampleConnector",
    kv_role: "kv_both",
    kv_connector_extra_config: { shared_storage_path: path },
  });
  const flags = (config: object) => [
    "--block-size=32",
    "--kv-transfer-config",
    JSON.stringify(config),
  ];

  test("leaves whole blocks in the folder, where any engine finds all but the last two tokens", async () => {
    const path = join(dir, "store");
    const [p, d] = [await start(flags(example(path))), await start(flags(example(path)))];
    for (const [count, stored] of [
      [20, 0],
      [65, 0],
      [66, 64],
      [70, 64],
    ] as const) {
      const before = await promptTokensBy(d, "external_kv_transfer");
      const prompt = ids(count, count);
      expect(await prefill(p, prompt)).toEqual({});
      const text = await textOf(d, { prompt, max_tokens: 3 });
      expect(text).toBe(expectedText("sim/tiny", prompt.join(" "), 3));
      expect((await promptTokensBy(d, "external_kv_transfer")) - before).toBe(stored);
    }
    expect(readdirSync(path)).toHaveLength(4);
  });

  test("ends the engine at a prompt of one token that is not the first short one", async () => {
    const engine = await start(flags(example(join(dir, "short"))));
    const statusOf = async (count: number): Promise<number> =>
      (await complete(engine, { prompt: ids(count), max_tokens: 1 })).status;
    expect([await statusOf(2), await statusOf(2), await statusOf(1)]).toEqual([200, 200, 500]);
  });

  test("as a child of MultiConnector is asked when NIXL has nothing", async () => {
    const path = join(dir, "both");
    const children = [{ kv_connector: "NixlConnector", kv_role: "kv_both" }, example(path)];
    const multi = flags({
      kv_connector: "MultiConnector",
      kv_role: "kv_both",
      kv_connector_extra_config: { connectors: children },
    });
    const [p, d] = [await start(multi), await start(multi)];
    const prompt = ids(70);
    const params = await prefill(p, prompt);
    await complete(d, { prompt, kv_transfer_params: params });
    await complete(d, { prompt });
    const by = (source: string): Promise<number> =>
      metric(d, "vllm:prompt_tokens_cached_by_source_total", { source });
    expect([await by("p2p"), await by("external_unspecified")]).toEqual([70, 64]);
  });
});

describe("life and death", () => {
  test("by a switch, SIGTERM ends running requests with abort", async () => {
    const env = { PDJOB_SIM_ON_SIGTERM: "abort", PDJOB_SIM_TOKEN_MS: "20" };
    const engine = await start([], env);
    const answer = complete(engine, { prompt: "x", max_tokens: 1_000 });
    await eventually(
      "it runs",
      async () => (await metric(engine, "vllm:num_requests_running")) === 1,
    );
    process.kill(engine.pid, "SIGTERM");
    expect((await answer).json()).toMatchObject({ choices: [{ finish_reason: "abort" }] });
  });

  test("by a switch, SIGTERM leaves running streams in silence until their clients go", async () => {
    const env = { PDJOB_SIM_ON_SIGTERM: "silence", PDJOB_SIM_TOKEN_MS: "20" };
    const engine = await start([], env);
    const stream = await openStream(engine, { prompt: "x", max_tokens: 1_000 });
    await eventually("it streams", () => stream.text().includes("data: "));
    process.kill(engine.pid, "SIGTERM");
    await eventually("it hears", () => engine.log().includes("shutdown triggered"));
    await sleep(200);
    const heard = stream.text();
    await sleep(200);
    expect([stream.text(), engine.isRunning()]).toEqual([heard, true]);
    stream.leave();
    expect(await engine.exited).toEqual({ code: 0, signal: null });
  });

  test("an engine core that is killed takes the server with it", async () => {
    const engine = await start([]);
    const core = treeOf(engine.pid).find(({ command }) => command.startsWith("VLLM::EngineCore"));
    process.kill(pidOf(core), "SIGKILL");
    expect(await engine.exited).toEqual({ code: 0, signal: null });
  });

  test("a side-channel port that is taken stops the boot with a reason", async () => {
    const holder = createServer();
    const side = await ownPort();
    holder.listen(side, "127.0.0.1");
    const env = { ...bed.env, VLLM_NIXL_SIDE_CHANNEL_PORT: String(side) };
    const engine = await launch({ ...bed, env }, "taken", nixl("kv_producer"));
    expect(await engine.exited).toEqual({ code: 1, signal: null });
    expect(engine.log()).toContain("Engine core initialization failed. See root cause above.");
    holder.close();
  });
});

describe("its version", () => {
  const ask = async (words: readonly string[], version?: string) => {
    // What it accepts ends it all the same, a moment later.
    const ends = { PDJOB_SIM_BOOT_FAILURE: "accepted", PDJOB_SIM_ENGINE_CORE: "0" };
    const env = version === undefined ? ends : { ...ends, PDJOB_SIM_VERSION: version };
    const program = [`${root}bin/pdjob-sim-engine`, ...words];
    return execa(process.execPath, program, { env, reject: false });
  };

  test("is told as vLLM tells it, and can be claimed to be another", async () => {
    expect((await ask(["--version"])).stdout).toBe("0.32.0");
    expect((await ask(["-v"], "0.12.0")).stdout).toBe("0.12.0");
    expect((await ask(["serve", "m", "--version"])).stderr).toContain(
      "unrecognized arguments: --version",
    );
  });

  test.each([
    ["SharedStorageConnector", "0.12.9", true],
    ["SharedStorageConnector", "0.13.0", false],
    ["ExampleConnector", "0.12.9", false],
    ["ExampleConnector", "0.13.0", true],
    ["P2pNcclConnector", "0.23.0", true],
    ["P2pNcclConnector", "0.24.0", false],
  ])("decides about connectors: %s in %s: %s", async (kv_connector, version, has) => {
    const kv = JSON.stringify({ kv_connector, kv_role: "kv_both" });
    const { stderr } = await ask(["serve", "m", "--kv-transfer-config", kv], version);
    expect(stderr).toContain(has ? "accepted" : `Unsupported connector type: ${kv_connector}`);
  });

  test.each([
    ["0.31.0", true],
    ["0.32.0", false],
  ])("decides about keys of KVTransferConfig: %s has kv_ip: %s", async (version, has) => {
    const kv = JSON.stringify({ kv_connector: "NixlConnector", kv_role: "kv_both", kv_ip: "h" });
    const { stderr } = await ask(["serve", "m", "--kv-transfer-config", kv], version);
    expect(stderr).toContain(has ? "accepted" : "kv_ip");
  });
});
