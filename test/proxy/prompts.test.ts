import { afterEach, describe, expect, test } from "vitest";
import { scanObject } from "../../src/proxy/bytes/json.ts";
import type { JsonObject } from "../../src/proxy/bytes/json.ts";
import { mergeAnswers, wayOf } from "../../src/proxy/bytes/prompts.ts";
import { createScene, json, metricsOf, post, sse } from "./rig.ts";
import type { Answer, FakeEngine } from "./rig.ts";

const { pair: pairOf, engine, stop } = createScene();
afterEach(stop);

const several = { kind: "alone", why: "several_choices" };
function bodyOf(value: object): JsonObject {
  const body = scanObject(Buffer.from(JSON.stringify(value)));
  if (!body) throw new Error("not an object");
  return body;
}

const prompts = { kind: "alone", why: "several_prompts" };

test.each<[object, object | "split"]>([
  [{ prompt: "a" }, { kind: "pair" }],
  [{ prompt: ["a"] }, { kind: "pair" }],
  [{ prompt: [1, 2, 3] }, { kind: "pair" }],
  [{ prompt: [[1, 2, 3]] }, { kind: "pair" }],
  [{ prompt: [] }, { kind: "pair" }],
  [{}, { kind: "pair" }],
  [{ prompt: "a", n: 1, best_of: null, use_beam_search: false }, { kind: "pair" }],
  [{ prompt: "a", n: 2 }, several],
  [{ prompt: "a", n: "2" }, several],
  [{ prompt: "a", best_of: 2 }, several],
  [{ prompt: "a", use_beam_search: true }, several],
  [{ prompt: ["a", "b"] }, "split"],
  [{ prompt: [[1], [2, 3]] }, "split"],
  [{ prompt: ["a", [1, 2]] }, "split"],
  [{ prompt: ["a", "b"], stream: true }, prompts],
  [{ prompt: ["a", "b"], stream: "true" }, prompts],
  [{ prompt: Array.from({ length: 200 }, () => "a") }, prompts],
  [{ prompt: "a", prompt_embeds: "x" }, prompts],
  [{ prompt_embeds: ["x", "y"] }, prompts],
])("%j goes the way of %j", (body, way) => {
  const found = wayOf("/v1/completions", bodyOf(body), "params");
  if (way === "split") expect(found.kind).toBe("split");
  else expect(found).toEqual(way);
  expect(wayOf("/v1/completions", bodyOf(body), "store")).toEqual({ kind: "pair" });
});

test("a chat has one prompt, whatever else it holds", () => {
  const path = "/v1/chat/completions";
  expect(wayOf(path, bodyOf({ prompt: ["a", "b"] }), "params")).toEqual({ kind: "pair" });
  expect(wayOf(path, bodyOf({ n: 3 }), "params")).toEqual(several);
});

test("merged answers count their choices on, and add up their usage, details included", () => {
  const answer = (text: string, tokens: number) => ({
    id: text,
    choices: [{ index: 0, text, finish_reason: "stop" }],
    usage: {
      prompt_tokens: tokens,
      total_tokens: tokens + 1,
      prompt_tokens_details: { cached_tokens: 1 },
      completion_tokens_details: null,
    },
    kv_transfer_params: null,
  });
  expect(mergeAnswers([answer("a", 3), answer("b", 5)])).toEqual({
    id: "a",
    choices: [
      { index: 0, text: "a", finish_reason: "stop" },
      { index: 1, text: "b", finish_reason: "stop" },
    ],
    usage: {
      prompt_tokens: 8,
      total_tokens: 10,
      prompt_tokens_details: { cached_tokens: 2 },
      completion_tokens_details: null,
    },
    kv_transfer_params: null,
  });
});

/** The prompts of a request, as vLLM counts them. */
const promptsOf = ({ prompt }: Record<string, unknown>): readonly unknown[] =>
  Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt : [prompt];

/** As vLLM does: the parameters in the answer are those of the first prompt. */
const strictPrefill: Answer = ({ body }, response) =>
  json(response, 200, {
    choices: [{ finish_reason: "length" }],
    kv_transfer_params: { of: promptsOf(body)[0] },
  });

/** As vLLM does: it applies the parameters to each prompt and choice, and does not survive those of another. */
const strictDecode =
  (self: () => FakeEngine): Answer =>
  ({ body }, response) => {
    const params = body["kv_transfer_params"] as { of: unknown } | undefined;
    const asked = promptsOf(body);
    const uses = asked.length * Number(body["n"] ?? 1);
    if (params && (uses > 1 || JSON.stringify(params.of) !== JSON.stringify(asked[0]))) {
      self().die();
      return json(response, 500, { error: { message: "EngineDeadError" } });
    }
    const choices = Array.from({ length: uses }, (_, index) => ({
      index,
      text: `${JSON.stringify(asked[index % asked.length])} ${params ? "from prefill" : "alone"}`,
      finish_reason: "stop",
    }));
    const usage = { prompt_tokens: asked.length, completion_tokens: uses };
    if (body["stream"] !== true) return json(response, 200, { id: "x", choices, usage });
    sse(response, ...choices.map((choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`));
    response.end("data: [DONE]\n\n");
  };

async function strictPair() {
  const scene = await pairOf(strictPrefill);
  const d: FakeEngine = await engine("d1", "decode", (request, response) =>
    strictDecode(() => d)(request, response),
  );
  scene.proxy.point([scene.p, d]);
  return { ...scene, d };
}

const texts = (text: string): readonly string[] =>
  (JSON.parse(text) as { choices: { index: number; text: string }[] }).choices.map(
    (choice, index) => {
      expect(choice.index).toBe(index);
      return choice.text;
    },
  );

describe("no engine is handed the KV of another prompt", () => {
  test("when a request has several prompts: each goes its own way, and comes back in its place", async () => {
    const { p, d, proxy } = await strictPair();
    const prompt = Array.from({ length: 20 }, (_, index) => `p${index}`);
    const { status, text } = await post(proxy.url, { prompt });
    expect(status).toBe(200);
    expect(texts(text)).toEqual(prompt.map((one) => `"${one}" from prefill`));
    expect(JSON.parse(text).usage).toEqual({ prompt_tokens: 20, completion_tokens: 20 });
    expect([p.seen.length, d.seen.length]).toEqual([20, 20]);
    const ids = p.seen.map(({ headers }) => headers["x-request-id"]);
    expect(new Set(ids).size).toBe(20);
    await expect.poll(() => proxy.pool.inFlight()).toEqual({});
  });

  test("when the prompts are token ids", async () => {
    const { proxy } = await strictPair();
    const { text } = await post(proxy.url, { prompt: [[1, 2], [3]] });
    expect(texts(text)).toEqual(["[1,2] from prefill", "[3] from prefill"]);
  });

  test.each<[string, object, string]>([
    ["several choices", { prompt: "a", n: 2 }, "several_choices"],
    ["several choices of several prompts", { prompt: ["a", "b"], n: 2 }, "several_choices"],
    ["a stream of several prompts", { prompt: ["a", "b"], stream: true }, "several_prompts"],
  ])("when a request wants %s: decode does it alone, and it is counted", async (_, body, why) => {
    const { p, d, proxy } = await strictPair();
    const { status, text } = await post(proxy.url, body);
    expect([status, p.seen.length]).toEqual([200, 0]);
    expect(text).toContain("alone");
    expect(d.seen.every((request) => request.body["kv_transfer_params"] === undefined)).toBe(true);
    expect(await metricsOf(proxy.url)).toContain(
      `pdjob_proxy_without_prefill_total{reason="${why}"} 1`,
    );
  });
});

test("one prompt that an engine refuses is the answer to all", async () => {
  const { p, proxy } = await pairOf(({ body }, response) =>
    body["prompt"] === "bad"
      ? json(response, 400, { error: { message: "too long" } })
      : setTimeout(() => json(response, 200, { kv_transfer_params: null }), 20),
  );
  const prompt = ["a", "bad", ...Array.from({ length: 50 }, () => "b")];
  const { status, text } = await post(proxy.url, { prompt });
  expect([status, JSON.parse(text).error.message]).toEqual([400, "too long"]);
  expect(p.seen.length).toBeLessThan(20);
});
