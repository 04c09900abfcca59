import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import OpenAI, { NotFoundError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectedText, renderChat } from "../../src/sim/text.ts";
import { launch, untilHealthy } from "../contract/bed.ts";
import type { Engine } from "../contract/bed.ts";
import { nixl } from "../contract/trio.ts";
import { metricsOf, startProxy } from "../proxy/rig.ts";

// Clients as people run them, unchanged, against the proxy in front of simulated engines.
const root = fileURLToPath(new URL("../../", import.meta.url));
const clients = join(root, ".venv-clients/bin");
const dir = mkdtempSync(join(tmpdir(), "pdjob-clients-"));
const model = "sim/tiny";
const prompt = 'naïve “quotes” \\ and\nnew lines, 漢字 and "json": {}';
const tokens = 7;
const bed = {
  command: [process.execPath, join(root, "bin/pdjob-sim-engine"), "serve", model],
  env: { PDJOB_SIM_BOOT_MS: "100", PDJOB_SIM_TOKEN_MS: "1" },
  dir,
  bootTimeoutMs: 30_000,
  patienceMs: 10_000,
  longStreamTokens: 600,
  leaseS: 5,
};
const engines: Engine[] = [];
let proxy: Awaited<ReturnType<typeof startProxy>>;

beforeAll(async () => {
  await execa(process.execPath, [join(root, "scripts/build.mjs")]);
  await execa(process.execPath, [join(root, "scripts/setup-extra.mjs"), "clients"], {
    stdio: "inherit",
  });
  const roles = { p0: "prefill", p1: "prefill", d0: "decode", d1: "decode" } as const;
  const members = await Promise.all(
    Object.entries(roles).map(async ([name, role]) => {
      const engine = await launch(
        bed,
        name,
        nixl(role === "prefill" ? "kv_producer" : "kv_consumer"),
      );
      engines.push(engine);
      await untilHealthy(engine, bed);
      return { name, role, url: engine.url };
    }),
  );
  proxy = await startProxy([]);
  proxy.pool.replace({ generation: 100, members });
});
afterAll(async () => {
  await proxy.stop();
  await Promise.all(engines.map((engine) => engine.stop()));
  rmSync(dir, { recursive: true, force: true });
});

const messages = [{ role: "user" as const, content: prompt }];
const expected = {
  models: [model],
  chat: expectedText(model, renderChat(messages), tokens),
  finish: "length",
  streamed: expectedText(model, renderChat(messages), tokens),
  usage: tokens,
  completion: expectedText(model, prompt, tokens),
  refusal: "NotFoundError 404",
};

test("OpenAI's SDK for Python gets whole answers, streams, models and errors in its own types", async () => {
  const { stdout } = await execa(join(clients, "python"), [
    join(root, "test/slow/openai_sdk.py"),
    proxy.url,
    "no-key",
    model,
    prompt,
  ]);
  expect(JSON.parse(stdout)).toEqual(expected);
});

test("OpenAI's SDK for Node does too", async () => {
  const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: "no-key", maxRetries: 0 });
  const ask = { model, messages, max_completion_tokens: tokens };
  const whole = await client.chat.completions.create(ask);
  let streamed = "";
  let usage = 0;
  const stream = await client.chat.completions.create({
    ...ask,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage?.completion_tokens ?? usage;
  }
  const completion = await client.completions.create({ model, prompt, max_tokens: tokens });
  const refused = client.completions.create({ model: "another", prompt, max_tokens: tokens });
  await expect(refused).rejects.toBeInstanceOf(NotFoundError);
  const { data } = await client.models.list();
  expect({
    models: data.map(({ id }) => id),
    chat: whole.choices[0]?.message.content,
    finish: whole.choices[0]?.finish_reason,
    streamed,
    usage,
    completion: completion.choices[0]?.text,
    refusal: "NotFoundError 404",
  }).toEqual(expected);
});

test("a load generator's requests all succeed, and each one's KV was handed over", async () => {
  const requests = 200;
  const before = await metricsOf(proxy.url);
  const hub = join(dir, "hub");
  await execa(join(clients, "python"), [join(root, "test/slow/byte_tokenizer.py"), hub]);
  const flags = [
    ["--model", model, "--url", proxy.url, "--endpoint-type", "chat", "--streaming"],
    ["--concurrency", "16", "--request-count", String(requests), "--random-seed", "1"],
    ["--tokenizer", "pdjob/bytes", "--isl", "64", "--osl", "16"],
    ["--ui", "none", "--output-artifact-dir", dir],
  ].flat();
  const env = { HF_HUB_CACHE: hub, HF_HUB_OFFLINE: "1" };
  await execa(join(clients, "aiperf"), ["profile", ...flags], { env, cwd: dir });
  const report = JSON.parse(readFileSync(join(dir, "profile_export_aiperf.json"), "utf8"));
  expect(report).toMatchObject({ request_count: { avg: requests }, was_cancelled: false });
  expect(report.error_summary).toEqual([]);
  expect(before).not.toContain("without_prefill_total{");
  expect(await metricsOf(proxy.url)).not.toContain("without_prefill_total{");
});
