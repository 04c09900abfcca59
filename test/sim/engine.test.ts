import { execa } from "execa";
import type { ResultPromise } from "execa";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { request } from "undici";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/dev/ports.ts";
import { parseKvConfig } from "../../src/sim/kv-config.ts";
import { parseOptions } from "../../src/sim/options.ts";
import { expectedText, renderChat } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const running: ResultPromise[] = [];
beforeAll(async () => void (await execa(process.execPath, [`${root}scripts/build.mjs`])));
afterEach(async () => {
  for (const engine of running.splice(0)) {
    engine.kill("SIGTERM");
    await engine.catch(() => undefined);
  }
});

const nixl = (role: string, extra: object = {}): string[] => [
  "--kv-transfer-config",
  JSON.stringify({ kv_connector: "NixlConnector", kv_role: role, ...extra }),
];

async function startEngine(flags: readonly string[] = [], env: Record<string, string> = {}) {
  const port = await freePort(29_000 + Math.floor(Math.random() * 1_000));
  const side = await freePort(port + 1_100);
  const engine = execa(
    process.execPath,
    [
      `${root}bin/pdjob-sim-engine`,
      "serve",
      "sim/tiny",
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      ...flags,
    ],
    {
      env: {
        PDJOB_SIM_BOOT_MS: "50",
        PDJOB_SIM_TOKEN_MS: "1",
        VLLM_NIXL_SIDE_CHANNEL_HOST: "127.0.0.1",
        VLLM_NIXL_SIDE_CHANNEL_PORT: String(side),
        ...env,
      },
      reject: false,
      all: true,
    },
  );
  running.push(engine);
  const url = `http://127.0.0.1:${port}`;
  await eventually(
    "the engine is healthy",
    async () => (await request(`${url}/health`)).statusCode === 200,
    10_000,
  );
  return { engine, url, side };
}

const post = async (url: string, body: object, path = "/v1/completions") => {
  const answer = await request(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, text, json: () => JSON.parse(text) };
};

const prefill = async (url: string, prompt: string): Promise<Record<string, unknown>> =>
  (
    await post(url, { prompt, max_tokens: 1, kv_transfer_params: { do_remote_decode: true } })
  ).json().kv_transfer_params;

const metric = async (url: string, name: string): Promise<number> => {
  const text = await (await request(`${url}/metrics`)).body.text();
  return Number(new RegExp(`^${name.replaceAll(/[{}]/g, "\\$&")}.*? (\\d+)$`, "m").exec(text)?.[1]);
};

describe("the command line is vLLM's:", () => {
  test.each([
    [["serve"], "the following arguments are required: model_tag"],
    [["serve", "m", "--no-such-flag", "1"], "unrecognized arguments: --no-such-flag"],
    [["serve", "m", "--port"], "argument --port: expected one argument"],
    [["serve", "m", "--port", "x"], "argument --port: invalid int value: 'x'"],
    [["serve", "m", "stray"], "unrecognized arguments: stray"],
  ])("%j is refused", (argv, message) => expect(() => parseOptions(argv)).toThrow(message));

  test("underscores, --no- forms and --flag=value are accepted", () => {
    expect(
      parseOptions([
        "serve",
        "m",
        "--served_model_name",
        "a",
        "b",
        "--no-enable-prefix-caching",
        "--port=81",
      ]),
    ).toMatchObject({ servedModelNames: ["a", "b"], port: 81 });
  });

  test.each([
    [
      '{"kv_connector":"NixlConnector","kv_role":"kv_producer","nope":1}',
      "KVTransferConfig got an unexpected keyword argument 'nope'",
    ],
    [
      '{"kv_connector":"nixlconnector","kv_role":"kv_producer"}',
      "Unsupported connector type: nixlconnector",
    ],
    ['{"kv_connector":"NixlConnector"}', "Unsupported kv_role: undefined"],
    ["{", "cannot be converted to JSON"],
  ])("KV config %s is refused", (text, message) =>
    expect(() => parseKvConfig(text)).toThrow(message),
  );
});

test("answers are the same streamed or not, completion or chat, and known beforehand", async () => {
  const { url } = await startEngine();
  const whole = await post(url, { prompt: "a b", max_tokens: 7 });
  expect(whole.json()).toMatchObject({
    choices: [{ text: expectedText("sim/tiny", "a b", 7), finish_reason: "length" }],
    usage: { prompt_tokens: 2, completion_tokens: 7 },
    system_fingerprint: "pdjob-simulated-engine",
  });
  const messages = [{ role: "user", content: [{ type: "text", text: "hi" }] }];
  const streamed = await post(
    url,
    { messages, max_tokens: 7, stream: true, stream_options: { include_usage: true } },
    "/v1/chat/completions",
  );
  const events = streamed.text
    .split("\n\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)));
  expect(events.map((event) => event.choices[0]?.delta.content ?? "").join("")).toBe(
    expectedText("sim/tiny", renderChat(messages), 7),
  );
  expect(events.at(-1)?.usage.completion_tokens).toBe(7);
});

test("errors have OpenAI's shape", async () => {
  const { url } = await startEngine();
  const statuses = await Promise.all([
    post(url, { prompt: "x", model: "other" }),
    post(url, { max_tokens: 1 }),
    post(url, { prompt: "x", max_tokens: 0 }),
    post(url, {}, "/v1/nope"),
  ]);
  expect(statuses.map(({ status }) => status)).toEqual([404, 400, 400, 404]);
  expect(statuses[0]?.json().error).toEqual({
    message: "The model `other` does not exist.",
    type: "NotFoundError",
    param: null,
    code: 404,
  });
});

describe("KV transfer", () => {
  test("prefill hands over, decode pulls once, and the answer is the aggregated one", async () => {
    const [p, d] = [await startEngine(nixl("kv_producer")), await startEngine(nixl("kv_consumer"))];
    const params = await prefill(p.url, "one two three");
    expect(params).toMatchObject({
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_port: p.side,
      remote_num_tokens: 3,
      transfer_mode: "pull",
    });
    const answer = await post(d.url, {
      prompt: "one two three",
      max_tokens: 5,
      kv_transfer_params: params,
    });
    expect(answer.json().choices[0].text).toBe(expectedText("sim/tiny", "one two three", 5));
    expect(
      await metric(
        d.url,
        'vllm:prompt_tokens_by_source_total{engine="0",model_name="sim/tiny",source="external_kv_transfer"}',
      ),
    ).toBe(3);
    const again = await post(d.url, {
      prompt: "one two three",
      max_tokens: 5,
      kv_transfer_params: params,
    });
    expect([again.status, again.json().error.message]).toEqual([500, "KV load failed"]);
  });

  test("an expired lease is a failed load, or recomputed when the policy says so", async () => {
    const p = await startEngine(
      nixl("kv_producer", { kv_connector_extra_config: { kv_lease_duration: 0.05 } }),
    );
    const d = await startEngine(nixl("kv_consumer", { kv_load_failure_policy: "recompute" }));
    const params = await prefill(p.url, "late");
    await eventually(
      "the lease expired",
      async () => (await metric(p.url, "vllm:nixl_num_kv_expired_reqs_total")) === 1,
    );
    expect(
      (await post(d.url, { prompt: "late", max_tokens: 2, kv_transfer_params: params })).status,
    ).toBe(200);
    expect(
      await metric(
        d.url,
        'vllm:prompt_tokens_by_source_total{engine="0",model_name="sim/tiny",source="local_compute"}',
      ),
    ).toBe(1);
  });

  test("another prompt's parameters kill the engine, as they kill vLLM's", async () => {
    const [p, d] = [await startEngine(nixl("kv_producer")), await startEngine(nixl("kv_consumer"))];
    const params = await prefill(p.url, "mine");
    expect(
      (await post(d.url, { prompt: "something else", kv_transfer_params: params })).status,
    ).toBe(500);
    expect((await request(`${d.url}/health`)).statusCode).toBe(503);
    expect((await post(d.url, { prompt: "innocent" })).status).toBe(500);
    expect((await d.engine).exitCode).toBe(1);
  });
});

describe("life and death", () => {
  test("SIGTERM aborts what runs, or drains it when --shutdown-timeout allows", async () => {
    const env = { PDJOB_SIM_TOKEN_MS: "20" };
    const [hasty, patient] = [
      await startEngine([], env),
      await startEngine(["--shutdown-timeout", "10"], env),
    ];
    const answers = [hasty, patient].map(({ url }) => post(url, { prompt: "x", max_tokens: 20 }));
    await eventually(
      "both run",
      async () =>
        (await metric(hasty.url, "vllm:num_requests_running")) +
          (await metric(patient.url, "vllm:num_requests_running")) ===
        2,
    );
    hasty.engine.kill("SIGTERM");
    patient.engine.kill("SIGTERM");
    const reasons = (await Promise.all(answers)).map(
      (answer) => answer.json().choices[0].finish_reason,
    );
    expect(reasons).toEqual(["abort", "length"]);
    expect((await patient.engine).exitCode).toBe(0);
  });

  test("a side-channel port that is taken stops the boot with a reason", async () => {
    const side = await freePort(29_990);
    const holder = createServer().listen(side, "127.0.0.1");
    await expect(startEngineWithin(side)).resolves.toMatchObject({
      exitCode: 1,
      all: expect.stringContaining("EngineCore failed to start"),
    });
    holder.close();
  });
});

async function startEngineWithin(side: number) {
  const port = await freePort(28_990);
  const env = {
    VLLM_NIXL_SIDE_CHANNEL_HOST: "127.0.0.1",
    VLLM_NIXL_SIDE_CHANNEL_PORT: String(side),
  };
  return execa(
    process.execPath,
    [
      `${root}bin/pdjob-sim-engine`,
      "serve",
      "m",
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      ...nixl("kv_both"),
    ],
    { env, reject: false, all: true },
  );
}
