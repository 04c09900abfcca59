import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectedText } from "../../src/sim/text.ts";
import { launch, untilHealthy } from "../contract/bed.ts";
import type { Engine } from "../contract/bed.ts";
import { nixl } from "../contract/trio.ts";
import { pidOf } from "../support/processes.ts";
import { messageOf, metricsOf, post, startProxy } from "./rig.ts";

/*
 * The proxy in front of engines that are as strict as vLLM: handed the KV of another prompt they answer that one, or die,
 * and handed it a second time they answer something else.
 */
const root = fileURLToPath(new URL("../../", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-proxy-"));
const model = "sim/tiny";
const bed = {
  command: [process.execPath, join(root, "bin/pdjob-sim-engine"), "serve", model],
  env: { PDJOB_SIM_BOOT_MS: "100", PDJOB_SIM_TOKEN_MS: "1", PDJOB_SIM_HANDSHAKE_MS: "300" },
  dir,
  bootTimeoutMs: 30_000,
  patienceMs: 10_000,
  longStreamTokens: 600,
  leaseS: 5,
};
const engines: Record<string, Engine> = {};
let proxy: Awaited<ReturnType<typeof startProxy>>;

beforeAll(async () => {
  await execa(process.execPath, [join(root, "scripts/build.mjs")]);
  const roles = { p0: "prefill", d0: "decode", d1: "decode" } as const;
  const members = await Promise.all(
    Object.entries(roles).map(async ([name, role]) => {
      const kv = nixl(role === "prefill" ? "kv_producer" : "kv_consumer");
      const engine = await launch(bed, name, ["--shutdown-timeout", "30", ...kv]);
      engines[name] = engine;
      await untilHealthy(engine, bed);
      return { name, role, url: engine.url };
    }),
  );
  proxy = await startProxy([]);
  proxy.pool.replace({ generation: 100, members });
}, 240_000);
afterAll(async () => {
  await proxy.stop();
  await Promise.all(Object.values(engines).map((engine) => engine.stop()));
  rmSync(dir, { recursive: true, force: true });
});

const ask = (body: object) => post(proxy.url, { model, max_tokens: 5, ...body });

const textsOf = (text: string): readonly string[] =>
  (JSON.parse(text) as { choices: { text: string }[] }).choices.map((choice) => choice.text);

const streamed = (text: string, index: number): string =>
  text
    .split("\n\n")
    .filter((line) => line.startsWith("data: {"))
    .flatMap((line) => (JSON.parse(line.slice(6)) as { choices: object[] }).choices)
    .map((choice) => choice as { index: number; text: string })
    .filter((choice) => choice.index === index)
    .map((choice) => choice.text)
    .join("");

test("each of several prompts is answered with its own words, from KV that was handed over", async () => {
  const prompt = ["one fish", "two fish", "red fish and a blue one"];
  const { status, text } = await ask({ prompt });
  expect([status, text]).toEqual([200, expect.any(String)]);
  expect(textsOf(text)).toEqual(prompt.map((one) => expectedText(model, one, 5)));
  expect(JSON.parse(text).usage).toMatchObject({ completion_tokens: 15 });
  expect(await metricsOf(proxy.url)).not.toContain("pdjob_proxy_without_prefill_total{");
});

test("several prompts in a stream, and several choices, are answered with their own words too", async () => {
  const stream = await ask({ prompt: ["one fish", "two fish"], stream: true });
  expect(streamed(stream.text, 0)).toBe(expectedText(model, "one fish", 5));
  expect(streamed(stream.text, 1)).toBe(expectedText(model, "two fish", 5));
  const choices = await ask({ prompt: "one fish", n: 3 });
  expect(textsOf(choices.text)).toEqual([0, 1, 2].map(() => expectedText(model, "one fish", 5)));
  const both = await ask({ prompt: ["one fish", "two fish"], n: 2 });
  expect(textsOf(both.text)).toEqual(
    ["one fish", "one fish", "two fish", "two fish"].map((one) => expectedText(model, one, 5)),
  );
});

test("a decode that drains while it is still a member costs no request", async () => {
  // One for each: a draining engine stays for its streams, and answers new requests 500.
  const long = [1, 2].map(() => ask({ prompt: "long", max_tokens: 3_000, stream: true }));
  await expect.poll(() => proxy.pool.inFlight()).toEqual({ d0: 1, d1: 1 });
  process.kill(pidOf(engines["d0"]), "SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (let turn = 0; turn < 6; turn++) {
    const { status, text } = await ask({ prompt: `number ${turn}`, stream: turn % 2 === 0 });
    expect([status, turn]).toEqual([200, turn]);
    expect(turn % 2 === 0 ? streamed(text, 0) : textsOf(text)[0]).toBe(
      expectedText(model, `number ${turn}`, 5),
    );
  }
  for (const { text } of await Promise.all(long))
    expect(streamed(text, 0)).toBe(expectedText(model, "long", 3_000));
});

test("KV parameters that end an engine reach none from a client, however they come", async () => {
  const direct = (name: string, body: object) =>
    post(engines[name]?.url ?? "", { model, max_tokens: 1, ...body });
  const keep = { do_remote_decode: true, do_remote_prefill: false };
  const kept = await direct("p0", { prompt: "theirs", kv_transfer_params: keep });
  const { kv_transfer_params: params } = JSON.parse(kept.text) as { kv_transfer_params: object };
  const poison = { ...params, remote_block_ids: [[]] };
  const bodies = [{ prompt: "mine" }, { prompt: "mine", stream: true }, { prompt: ["mine", "x"] }];
  for (const body of bodies) {
    const { status, text } = await ask({ ...body, kv_transfer_params: poison });
    const said = body.stream ? streamed(text, 0) : textsOf(text)[0];
    expect([status, said]).toEqual([200, expectedText(model, "mine", 5)]);
  }
  const chat = { messages: [{ role: "user", content: "mine" }], kv_transfer_params: poison };
  expect((await post(proxy.url, { model, ...chat }, {}, "/v1/chat/completions")).status).toBe(200);
  expect(engines["d1"]?.isRunning()).toBe(true);
  // What they would have done: the engine's core is gone, and with it every later request.
  const ended = await direct("d1", { prompt: "mine", kv_transfer_params: poison });
  expect([ended.status, messageOf(ended)]).toEqual([
    500,
    expect.stringContaining("EngineCore encountered an issue"),
  ]);
});
