import { expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { complete } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { engineOf } from "./job.ts";
import { kvOf, kvSince } from "./kv-sources.ts";
import { blockSize, prompts, tokensAsked } from "./prompts.ts";

/** Requests that are no plain hand-over. To be asked when the decode engine has the first prompts in its cache. */
export function requestCases(job: () => { readonly rig: Rig; readonly spec: JobSpec }): void {
  test("each of several prompts in one request gets the words that it would get alone", async () => {
    const { spec } = job();
    const few = prompts.slice(0, 4);
    const together = await ask(spec, { prompt: few, ...tokensAsked });
    const alone = [];
    for (const prompt of few) alone.push(...(await ask(spec, { prompt, ...tokensAsked })).texts);
    expect(together.texts).toEqual(alone);
    expect(new Set(together.texts).size).toBe(few.length);
  });

  test("a prompt with several choices is computed by the decode engine alone, and the engines live on", async () => {
    const { rig, spec } = job();
    const decode = await engineOf(rig, spec, "decode");
    const before = await kvOf(decode);
    const body = { prompt: prompts[1], max_tokens: 8, temperature: 1, n: 3 };
    expect((await ask(spec, body)).texts).toHaveLength(3);
    const two = await ask(spec, { ...body, prompt: prompts.slice(0, 2), n: 2 });
    expect(two.texts).toHaveLength(4);
    const one = await ask(spec, { ...body, n: 1 });
    expect(one.texts).toHaveLength(1);
    // KV parameters are good for one choice only. So each of these choices is the decode engine's own work, but for the
    // whole blocks that its cache has of the prompt.
    const [second, first] = [one.promptTokens, two.promptTokens - one.promptTokens];
    const { computed } = await kvSince(decode, before);
    expect(computed).toBe((3 + 2) * tailOf(second) + 2 * tailOf(first));
    expect((await rig.client.status(spec.name)).ready).toEqual({ prefill: 1, decode: 1 });
  });

  test("KV parameters of a client, which would end the decode engine, reach none", async () => {
    const { rig, spec } = job();
    const body = { prompt: prompts[2], ...tokensAsked };
    const { texts } = await ask(spec, body);
    const poison = {
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_block_ids: [],
      remote_engine_id: "nobody",
      remote_request_id: "nothing",
      remote_host: "127.0.0.1",
      remote_port: 1,
      tp_size: 1,
    };
    for (const more of [{}, { n: 1 }])
      expect((await ask(spec, { ...body, ...more, kv_transfer_params: poison })).texts).toEqual(
        texts,
      );
    expect((await ask(spec, body)).texts).toEqual(texts);
    expect((await rig.client.status(spec.name)).ready).toEqual({ prefill: 1, decode: 1 });
  });

  test("a streamed chat ends with [DONE]", async () => {
    const messages = [{ role: "user", content: "hello" }];
    const body = { model: "tiny", messages, max_tokens: 8, stream: true };
    const { status, text } = await complete(job().spec, body, { path: "/v1/chat/completions" });
    expect(status).toBe(200);
    expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
  });
}

/** What of a prompt no cache can have: the last token always has to be computed. */
const tailOf = (tokens: number): number =>
  tokens - Math.floor((tokens - 1) / blockSize) * blockSize;

async function ask(spec: JobSpec, body: object) {
  const { status, text } = await complete(spec, { model: "tiny", ...body });
  expect(status, text).toBe(200);
  const { choices, usage } = JSON.parse(text) as {
    choices: readonly { text: string }[];
    usage: { prompt_tokens: number };
  };
  return { texts: choices.map((choice) => choice.text), promptTokens: usage.prompt_tokens };
}
