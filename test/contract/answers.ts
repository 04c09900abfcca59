import { describe, expect, test } from "vitest";
import { call, chat, complete, eventsOf, ids } from "./calls.ts";
import type { Answer, Completion, Json } from "./calls.ts";
import { apiKey } from "./trio.ts";
import type { Trio } from "./trio.ts";

const usage = (prompt: number, completion: number) => ({
  prompt_tokens: prompt,
  total_tokens: prompt + completion,
  completion_tokens: completion,
});
const details = { prompt_tokens_details: null, completion_tokens_details: null };

/** Answers that are sent whole: every field, in its order. */
export function answerCases(trio: () => Trio): void {
  test("a completion has vLLM's fields", async () => {
    const answer = await complete(trio().decode, { prompt: ids(20), max_tokens: 4 });
    const body = answer.json<Completion>();
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.headers["content-length"]).toBe(String(Buffer.byteLength(answer.text)));
    expect(answer.headers["x-request-id"]).toBeUndefined();
    expect(Object.keys(body)).toEqual(
      "id object created model choices service_tier system_fingerprint usage kv_transfer_params ec_transfer_params metrics".split(
        " ",
      ),
    );
    expect(body).toMatchObject({ object: "text_completion", model: "tiny" });
    expect(body.id).toMatch(/^cmpl-[0-9a-f]{16}$/);
    expect(body.usage).toEqual({ ...usage(20, 4), ...details });
    expect(body.kv_transfer_params).toBeNull();
    expect(body.choices).toEqual([
      {
        index: 0,
        text: expect.any(String),
        logprobs: null,
        finish_reason: "length",
        stop_reason: null,
        token_ids: null,
        prompt_logprobs: null,
        prompt_token_ids: null,
        routed_experts: null,
      },
    ]);
  });

  test("a chat has vLLM's fields", async () => {
    const answer = await chat(trio().decode, { max_tokens: 4 });
    const body = answer.json<Json & { readonly choices: readonly Json[] }>();
    expect(Object.keys(body)).toEqual(
      "id object created model choices service_tier system_fingerprint usage prompt_logprobs prompt_token_ids prompt_text kv_transfer_params ec_transfer_params metrics".split(
        " ",
      ),
    );
    expect(body).toMatchObject({ object: "chat.completion", model: "tiny" });
    expect(body["id"]).toMatch(/^chatcmpl-[0-9a-f]{16}$/);
    expect(body.choices).toEqual([
      {
        index: 0,
        message: {
          role: "assistant",
          content: expect.any(String),
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          reasoning: null,
        },
        logprobs: null,
        finish_reason: "length",
        stop_reason: null,
        token_ids: null,
        routed_experts: null,
      },
    ]);
  });

  test.each([
    ["no model", { model: undefined }],
    ["the first name", { model: "tiny" }],
    ["the other name", { model: "also-tiny" }],
  ])("%s will do, and the answer has the first name", async (_, body) => {
    const answer = await complete(trio().decode, { prompt: ids(3), max_tokens: 1, ...body });
    expect([answer.status, answer.json()["model"]]).toEqual([200, "tiny"]);
  });

  describe("prompts", () => {
    test("several texts, and several choices of each, are one answer", async () => {
      const { decode } = trio();
      const texts = await complete(decode, { prompt: ["one", "two"], max_tokens: 2 });
      expect(texts.json<Completion>().choices).toHaveLength(2);
      const both = { prompt: [ids(5), ids(6)], max_tokens: 2, n: 2, temperature: 1 };
      const body = (await complete(decode, both)).json<Completion>();
      expect(body.choices).toHaveLength(4);
      expect(body.usage).toEqual({ ...usage(11, 8), ...details });
    });

    test("the same request has the same answer, streamed or not", async () => {
      const body = { prompt: "the same words", max_tokens: 6 };
      const [first, second, streamed] = await Promise.all([
        complete(trio().decode, body),
        complete(trio().decode, body),
        complete(trio().decode, { ...body, stream: true }),
      ]);
      const text = textsOf(first).join("");
      expect(textsOf(second).join("")).toBe(text);
      const events = eventsOf(streamed.text)
        .slice(0, -1)
        .map((event) => JSON.parse(event));
      expect(events.map(({ choices }) => choices[0].text).join("")).toBe(text);
    });
  });

  describe("limits", () => {
    test.each([
      ["none", {}, 16],
      ["null", { max_tokens: null }, 16],
      ["max_completion_tokens, which only chats have", { max_completion_tokens: 3 }, 16],
    ])("%s means 16 tokens of a completion", async (_, body, tokens) => {
      const answer = await complete(trio().decode, { prompt: ids(3), ignore_eos: true, ...body });
      expect(answer.json<Completion>().usage["completion_tokens"]).toBe(tokens);
    });

    test("max_completion_tokens wins over max_tokens in a chat", async () => {
      const answer = await chat(trio().decode, { max_completion_tokens: 3, max_tokens: 1 });
      expect(answer.json<Completion>().usage["completion_tokens"]).toBe(3);
    });

    test("a limit that does not fit beside the prompt is cut to what fits", async () => {
      const body = { prompt: ids(2_040), max_tokens: 100, ignore_eos: true };
      const answer = await complete(trio().decode, body);
      expect(answer.json<Completion>().usage).toEqual({ ...usage(2_040, 8), ...details });
      expect(answer.json<Completion>().choices[0]?.finish_reason).toBe("length");
    });

    test("a stop word ends it, is named and not sent", async () => {
      const { decode } = trio();
      const [whole = ""] = textsOf(await complete(decode, { prompt: "stop here", max_tokens: 12 }));
      const word = whole.at(-2) ?? "";
      const body = (
        await complete(decode, { prompt: "stop here", max_tokens: 12, stop: word })
      ).json<Completion>();
      expect(body.choices[0]).toMatchObject({ finish_reason: "stop", stop_reason: word });
      expect(body.choices[0]?.text).not.toContain(word);
    });
  });

  describe("request ids", () => {
    const auth = { authorization: `Bearer ${apiKey}` };
    test("a client's x-request-id becomes part of the answer's id", async () => {
      const body = { prompt: ids(3), max_tokens: 1 };
      const own = { "x-request-id": "my.own-1" };
      const answer = await call(trio().decode, "POST", "/v1/completions", body, own);
      expect(answer.json()["id"]).toBe("cmpl-my.own-1");
      expect(answer.headers["x-request-id"]).toBeUndefined();
    });

    test("with --enable-request-id-headers it is echoed, and made up when there is none", async () => {
      const { victim } = trio();
      const own = { ...auth, "x-request-id": "mine" };
      const echoed = await call(victim, "GET", "/v1/models", undefined, own);
      expect(echoed.headers["x-request-id"]).toBe("mine");
      const made = await call(victim, "GET", "/health");
      expect(made.headers["x-request-id"]).toMatch(/^[0-9a-f]{32}$/);
    });
  });
}

const textsOf = (answer: Answer): readonly string[] =>
  answer.json<Completion>().choices.map(({ text }) => text);
