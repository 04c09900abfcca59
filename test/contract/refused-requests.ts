import { describe, expect, test } from "vitest";
import { call, chat, complete, ids } from "./calls.ts";
import type { Json } from "./calls.ts";
import type { Trio } from "./trio.ts";

const tooLong =
  "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=2049)";

/** Requests that an engine refuses, in its own words. */
export function refusedRequestCases(trio: () => Trio): void {
  const errorOf = async (body: Json | string, kind: "completions" | "chat/completions") => {
    const answer = await call(trio().decode, "POST", `/v1/${kind}`, body);
    expect(answer.headers["content-type"]).toBe("application/json");
    const { error } = answer.json<{ error: Record<string, unknown> }>();
    expect(error["code"]).toBe(answer.status);
    return error;
  };

  describe("what it cannot read is a `Bad Request` with the place:", () => {
    test.each([
      ["half a JSON text", '{"model":', "body.9", "JSON decode error"],
      ["a list", "[1]", "body", "Input should be a valid dictionary or object"],
      ["nothing", "", "body", "Field required"],
      [
        "a word for a limit",
        { prompt: "a", max_tokens: "x" },
        "body.max_tokens",
        "unable to parse string as an integer",
      ],
      [
        "half a token",
        { prompt: "a", max_tokens: 1.5 },
        "body.max_tokens",
        "got a number with a fractional part",
      ],
      [
        "KV parameters as a word",
        { prompt: "a", kv_transfer_params: "x" },
        "body.kv_transfer_params",
        "Input should be a valid dictionary",
      ],
    ] as const)("%s", async (_, body, param, words) => {
      expect(await errorOf(body, "completions")).toEqual({
        message: expect.stringContaining(words),
        type: "Bad Request",
        param,
        code: 400,
      });
    });

    test("another content type", async () => {
      const headers = { "content-type": "text/plain" };
      const body = JSON.stringify({ prompt: "a" });
      const answer = await call(trio().decode, "POST", "/v1/completions", body, headers);
      expect(answer.json()).toEqual({
        error: {
          message:
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
          type: "Bad Request",
          param: null,
          code: 400,
        },
      });
    });

    test("a chat without messages", async () => {
      expect(await errorOf({ model: "tiny" }, "chat/completions")).toMatchObject({
        type: "Bad Request",
        param: "body.messages",
      });
    });
  });

  describe("what it cannot do is a `BadRequestError` in words for people:", () => {
    const noPrompt =
      "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)";
    test.each([
      ["no prompt", {}, noPrompt, "prompt"],
      ["an empty prompt", { prompt: "" }, noPrompt, "prompt"],
      [
        "no tokens",
        { prompt: "a", max_tokens: 0 },
        "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)",
        "max_tokens",
      ],
      [
        "less than no tokens",
        { prompt: "a", max_tokens: -1 },
        "max_tokens must be at least 1, got -1. (parameter=max_tokens, value=-1)",
        "max_tokens",
      ],
      [
        "more tokens than any prompt leaves",
        { prompt: "a", max_tokens: 5_000 },
        "max_tokens=5000 cannot be greater than max_model_len=2048. Please request fewer output tokens. (parameter=max_tokens, value=5000)",
        "max_tokens",
      ],
      ["a prompt that is too long", { prompt: ids(2_049) }, tooLong, "input_tokens"],
      ["a text that is too long", { prompt: "word ".repeat(3_000) }, tooLong, "input_tokens"],
      [
        "a prompt that leaves no room",
        { prompt: ids(2_048) },
        "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)",
        "max_tokens",
      ],
      [
        "a negative temperature",
        { prompt: "a", temperature: -1 },
        "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)",
        "temperature",
      ],
      [
        "two greedy choices",
        { prompt: "a", temperature: 0, n: 2 },
        "n must be 1 when using greedy sampling, got 2.",
        null,
      ],
      [
        "a minimum above the limit",
        { prompt: "a", max_tokens: 1, min_tokens: 5 },
        "min_tokens must be less than or equal to max_tokens=1, got 5.",
        null,
      ],
      [
        "stream options without a stream",
        { prompt: "a", stream_options: { include_usage: true } },
        "Stream options can only be defined when `stream=True`. (parameter=stream_options)",
        "stream_options",
      ],
    ] as const)("%s", async (_, body, message, param) => {
      const expected = { message, type: "BadRequestError", param, code: 400 };
      expect(await errorOf({ model: "tiny", ...body }, "completions")).toEqual(expected);
    });

    test("an empty conversation", async () => {
      expect(await errorOf({ messages: [] }, "chat/completions")).toMatchObject({
        message:
          "Cannot apply chat template to an empty conversation. Provide at least one message.",
        type: "BadRequestError",
        param: null,
      });
    });
  });

  test("a model that it does not have is a 404, with the names that it has", async () => {
    const message = "The model `other` does not exist. Valid aliases: tiny, also-tiny.";
    const expected = { message, type: "NotFoundError", param: "model", code: 404 };
    expect(await errorOf({ model: "other", prompt: "a" }, "completions")).toEqual(expected);
    const messages = [{ role: "user", content: "hi" }];
    expect(await errorOf({ model: "other", messages }, "chat/completions")).toEqual(expected);
  });

  test("fields that it does not know, and roles of any name, are let pass", async () => {
    const { decode } = trio();
    expect((await complete(decode, { prompt: "a", max_tokens: 1, foo: 1 })).status).toBe(200);
    const messages = [{ role: "anybody", content: "hi" }];
    expect((await chat(decode, { messages, max_tokens: 1 })).status).toBe(200);
  });
}
