import { mkdirSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { request } from "undici";
import { parseConfig } from "../../src/config/parse.ts";
import { startGuarded } from "../../src/dev/guarded.ts";
import type { Guarded } from "../../src/dev/guarded.ts";
import { freePort } from "../../src/dev/ports.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { complete, leftOf, startRig, untilPhase } from "../support/rig.ts";
import { eventually } from "../support/eventually.ts";
import type { Rig } from "../support/rig.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const bootTimeoutMs = 400_000;
const prompts = [
  "The quick brown fox",
  "prefill and decode share one cache",
  "a cache of keys",
  "keys and values, values and keys, again and again and again",
  "lazy dog jumps over",
];
let rig: Rig;
let spec: JobSpec;
let aggregated: Guarded;
let aggregatedUrl: string;

beforeAll(async () => {
  await execa(process.execPath, [join(root, "scripts/setup-vllm.mjs")], { stdio: "inherit" });
  rig = await startRig();
  const model = join(rig.dir, "tiny-model");
  await execa(join(root, ".venv-vllm/bin/python"), [
    join(root, "scripts/make-tiny-model.py"),
    model,
  ]);
  const port = await freePort(25_021);
  const text = readFileSync(join(root, "examples/vllm-cpu.yaml"), "utf8")
    .replaceAll("/tmp/pdjob-vllm-cpu/tiny-model", model)
    .replace("working_dir: /tmp/pdjob-vllm-cpu", `working_dir: ${join(rig.dir, "job")}`)
    .replace("port: 8021", `port: ${port}`);
  const parsed = parseConfig(
    `${text}\nengine: {command: ${join(root, ".venv-vllm/bin/vllm")} serve}\n`,
    { file: "vllm-cpu.yaml", name: "cpu" },
  );
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join("\n"));
  spec = parsed.spec;
  [aggregated, aggregatedUrl] = await startAggregated(model);
});
afterAll(async () => {
  await aggregated?.stop(5);
  await rig?.stop();
});

/** One ordinary engine with the same model and flags: what the split pair's answers are compared with. */
async function startAggregated(model: string): Promise<[Guarded, string]> {
  const port = await freePort(25_121);
  const flags = [
    "--served-model-name",
    "tiny",
    "--dtype",
    "float32",
    "--enforce-eager",
    "--max-model-len",
    "512",
    "--max-num-seqs",
    "4",
    "--kv-cache-memory-bytes",
    "256M",
  ];
  const argv = [
    join(root, ".venv-vllm/bin/vllm"),
    "serve",
    model,
    "--host",
    "127.0.0.1",
    "--port",
    String(port),
    ...flags,
  ];
  const env = {
    ...process.env,
    HF_HUB_OFFLINE: "1",
    OMP_NUM_THREADS: "1",
    VLLM_CPU_OMP_THREADS_BIND: "nobind",
  };
  mkdirSync(rig.dir, { recursive: true });
  const engine = await startGuarded({
    argv,
    env,
    cwd: rig.dir,
    log: join(rig.dir, "aggregated.log"),
  });
  return [engine, `http://127.0.0.1:${port}`];
}

test("real vLLM becomes READY through the ordinary path: 1 prefill and 1 decode with NIXL", async () => {
  await rig.client.start(spec);
  const status = await untilPhase(rig.client, "cpu", "READY", bootTimeoutMs);
  expect(status.ready).toEqual({ prefill: 1, decode: 1 });
});

test("greedy answers equal the aggregated engine's, word for word", async () => {
  await eventually(
    "the aggregated engine answers",
    async () => (await request(`${aggregatedUrl}/health`)).statusCode === 200,
    bootTimeoutMs,
  );
  for (const prompt of prompts) {
    const body = { model: "tiny", prompt, max_tokens: 24, temperature: 0 };
    expect(await splitTexts(body)).toEqual(await wholeTexts(body));
  }
});

test("each of several prompts in one request gets the words that it would get alone", async () => {
  const body = { model: "tiny", prompt: prompts, max_tokens: 24, temperature: 0 };
  const texts = await splitTexts(body);
  expect(new Set(texts).size).toBeGreaterThan(1);
  expect(texts).toEqual(await wholeTexts(body));
});

test("a streamed chat ends with [DONE]", async () => {
  const body = {
    model: "tiny",
    messages: [{ role: "user", content: "hello" }],
    max_tokens: 8,
    stream: true,
  };
  const { status, text } = await complete(spec, body, "/v1/chat/completions");
  expect(status).toBe(200);
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
});

test("the decode engine got every prompt token's KV from the prefill engine", async () => {
  const { replicas } = await rig.client.status("cpu");
  const url = replicas.find(({ role }) => role === "decode")?.url;
  const text = await (await request(`${url}/metrics`)).body.text();
  const tokens = (source: string): number =>
    Number(
      new RegExp(
        `vllm:prompt_tokens_by_source_total\\{[^}]*source="${source}"[^}]*\\} ([\\d.]+)`,
      ).exec(text)?.[1] ?? Number.NaN,
    );
  expect(tokens("external_kv_transfer")).toBeGreaterThan(prompts.length);
  expect(tokens("local_compute") || 0).toBe(0);
});

test("several choices are answered, and the engines live on", async () => {
  const body = { model: "tiny", prompt: prompts[1], max_tokens: 8, temperature: 1, n: 3 };
  expect(await splitTexts(body)).toHaveLength(3);
  expect(await splitTexts({ ...body, prompt: prompts.slice(0, 2), n: 2 })).toHaveLength(4);
  expect(await splitTexts({ ...body, n: 1 })).toHaveLength(1);
  expect((await rig.client.status("cpu")).ready).toEqual({ prefill: 1, decode: 1 });
});

test("stop leaves no VLLM::EngineCore and no VLLM::Worker", async () => {
  await aggregated.stop(10);
  await rig.client.stop("cpu");
  await rig.client.result("cpu");
  expect(await leftOf(rig, spec)).toEqual([]);
  expect(vllmProcesses()).toEqual([]);
});

interface Completion {
  readonly choices: readonly { readonly text: string }[];
}

const textsOf = ({ choices }: Completion): readonly string[] => choices.map(({ text }) => text);

/** Through the proxy and the pair behind it. */
async function splitTexts(body: object): Promise<readonly string[]> {
  const { status, text } = await complete(spec, { ...body });
  expect(status, text).toBe(200);
  return textsOf(JSON.parse(text) as Completion);
}

async function wholeTexts(body: object): Promise<readonly string[]> {
  const answer = await request(`${aggregatedUrl}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return textsOf((await answer.body.json()) as Completion);
}

/** Real ones: a simulated engine's core has the same name, and other tests may run on this machine. */
function vllmProcesses(): readonly string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => commandOf(pid))
    .filter((command) => command.startsWith("VLLM::"));
}

function commandOf(pid: string): string {
  try {
    const isPython = basename(readlinkSync(`/proc/${pid}/exe`)).startsWith("python");
    return isPython ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
  } catch {
    return ""; // It ended meanwhile.
  }
}
