import { expect, test } from "vitest";
import { prefixHashOf } from "../../src/proxy/selection/affinity.ts";
import { scanObject } from "../../src/proxy/bytes/json.ts";
import type { JsonObject } from "../../src/proxy/bytes/json.ts";
import { estimateOf } from "../../src/proxy/selection/load.ts";

const body = (value: object): JsonObject => {
  const found = scanObject(Buffer.from(JSON.stringify(value)));
  if (!found) throw new Error("not an object");
  return found;
};

test.each<[object, number]>([
  [{}, 512],
  [{ max_tokens: 7 }, 7],
  [{ max_completion_tokens: 9, max_tokens: 7 }, 9],
  [{ max_completion_tokens: null, max_tokens: 7 }, 7],
  [{ max_tokens: 1e9 }, 4_096],
  [{ max_tokens: "7" }, 512],
  [{ max_tokens: 0 }, 512],
  [{ max_tokens: -3 }, 512],
  [{ max_tokens: 2.5 }, 3],
])("of %j an answer of %i tokens is expected", (value, answer) => {
  expect(estimateOf(body(value)).answer).toBe(answer);
});

test("a prompt is a quarter of its body's bytes, up to the longest context", () => {
  expect(estimateOf(body({ prompt: "x".repeat(400 - '{"prompt":""}'.length) })).prompt).toBe(100);
  expect(estimateOf(body({ prompt: "x".repeat(1_000_000) })).prompt).toBe(131_072);
});

test("prompts with one beginning have one hash, of text, token ids and messages", () => {
  const hash = (value: object) => prefixHashOf(body(value), 20);
  const long = "the same beginning, ";
  expect(hash({ prompt: `${long}and one end` })).toBe(hash({ max_tokens: 3, prompt: `${long}!` }));
  expect(hash({ prompt: `${long}!` })).not.toBe(hash({ prompt: `The ${long}` }));
  const messages = (content: string) => ({ messages: [{ role: "system", content }] });
  expect(hash(messages(long))).toBe(hash(messages("t")));
  expect(hash({ prompt: [1, 2] })).not.toBe(hash({ prompt: [1, 3] }));
  expect(hash({})).toBeUndefined();
});
