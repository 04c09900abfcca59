import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { complete } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { metric } from "../contract/metrics-text.ts";
import { answersOf, deploy, enginesOf, killAndHeal, kvSources, stopAndLook } from "./job.ts";
import { prompts, tokensAsked } from "./prompts.ts";
import { bootTimeoutMs } from "./real.ts";
import { startReal } from "./rig.ts";

let rig: Rig;
let spec: JobSpec;
let reference: Promise<readonly (readonly number[])[]>;

beforeAll(async () => {
  const kv = { kv_connector: "NixlConnector", kv_buffer_device: "cpu" };
  ({ rig, spec, reference } = await startReal({ name: "nixl", prefillReplicas: 1, kv }));
});
afterAll(async () => rig?.stop());

/** All answers are the single engine's, and the decode engine computed no prompt token. */
async function expectHandOver(): Promise<void> {
  const [decode] = await enginesOf(rig, spec, "decode");
  const before = await kvSources({ url: decode?.url ?? "" });
  const answers = await answersOf(spec, prompts);
  expect(answers.map(({ ids }) => ids)).toEqual(await reference);
  const after = await kvSources({ url: decode?.url ?? "" });
  const tokens = answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
  expect(after.computed).toBe(0);
  const cached = after.cached - before.cached;
  // On a busy machine the proxy may give a transfer up and try again with a fresh prefill: that KV comes twice.
  expect(after.transferred - before.transferred + cached).toBeGreaterThanOrEqual(tokens);
  expect(after.byNixl - before.byNixl).toBe(after.transferred - before.transferred);
}

test("real vLLM becomes READY through the ordinary path: one prefill and one decode engine", async () => {
  const seconds = await deploy(rig, spec);
  process.stdout.write(
    `1 prefill and 1 decode engine with NIXL: READY after ${seconds.toFixed(0)} s\n`,
  );
  expect((await rig.client.status("nixl")).ready).toEqual({ prefill: 1, decode: 1 });
});

test("twenty greedy answers equal one engine's, token by token, with KV that all came by NIXL", async () => {
  await expectHandOver();
  const [decode] = await enginesOf(rig, spec, "decode");
  expect((await kvSources({ url: decode?.url ?? "" })).cached).toBe(0);
});

test("each of several prompts in one request gets the words that it would get alone", async () => {
  const few = prompts.slice(0, 4);
  const together = await textsOf({ prompt: few, ...tokensAsked });
  const alone = [];
  for (const prompt of few) alone.push(...(await textsOf({ prompt, ...tokensAsked })));
  expect(together).toEqual(alone);
  expect(new Set(together).size).toBe(few.length);
});

test("several choices are answered, and the engines live on", async () => {
  const body = { prompt: prompts[1], max_tokens: 8, temperature: 1, n: 3 };
  expect(await textsOf(body)).toHaveLength(3);
  expect(await textsOf({ ...body, prompt: prompts.slice(0, 2), n: 2 })).toHaveLength(4);
  expect(await textsOf({ ...body, n: 1 })).toHaveLength(1);
  expect((await rig.client.status("nixl")).ready).toEqual({ prefill: 1, decode: 1 });
});

test("a streamed chat ends with [DONE]", async () => {
  const messages = [{ role: "user", content: "hello" }];
  const body = { model: "tiny", messages, max_tokens: 8, stream: true };
  const { status, text } = await complete(spec, body, "/v1/chat/completions");
  expect(status).toBe(200);
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
});

test("a killed prefill engine is replaced, and the answers stay the same", async () => {
  await killAndHeal(rig, spec, "prefill");
  await expectHandOver();
});

test("a killed decode engine is replaced, and the answers stay the same", async () => {
  await killAndHeal(rig, spec, "decode");
  await expectHandOver();
});

test("a second prefill engine takes its share, and the answers stay the same", async () => {
  await rig.client.scale("nixl", { role: "prefill", replicas: 2 });
  await eventually(
    "two prefill engines are ready",
    async () => {
      const { phase, ready } = await rig.client.status("nixl");
      return phase === "READY" && ready.prefill === 2;
    },
    bootTimeoutMs,
  );
  const before = await prefilled();
  await expectHandOver();
  const after = await prefilled();
  expect(
    after.map((count, index) => count - (before[index] ?? 0)).every((count) => count > 0),
  ).toBe(true);
});

test("stop leaves no engine process, no placement group and no port", async () => {
  expect(await stopAndLook(rig, spec)).toEqual([]);
});

async function prefilled(): Promise<readonly number[]> {
  const engines = await enginesOf(rig, spec, "prefill");
  return Promise.all(engines.map(({ url }) => metric({ url }, "vllm:prompt_tokens_total")));
}

async function textsOf(body: object): Promise<readonly string[]> {
  const { status, text } = await complete(spec, { model: "tiny", ...body });
  expect(status, text).toBe(200);
  const { choices } = JSON.parse(text) as { choices: readonly { text: string }[] };
  return choices.map((choice) => choice.text);
}
