import { describe, expect, test } from "vitest";
import { chat, complete, eventsOf, ids } from "./calls.ts";
import type { Json } from "./calls.ts";
import type { Trio } from "./trio.ts";

interface Event extends Json {
  readonly choices: readonly Json[];
}

/** Tokens of which several events come, however busy the engine is. */
const many = 40;

/** Server-sent events: tokens, usage when asked for, [DONE]. */
export function streamCases(trio: () => Trio): void {
  const streamed = async (body: Json, kind = complete): Promise<readonly Event[]> => {
    const answer = await kind(trio().decode, { stream: true, ...body });
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    expect(answer.headers["content-length"]).toBeUndefined();
    const events = eventsOf(answer.text);
    expect(events.at(-1)).toBe("[DONE]");
    return events.slice(0, -1).map((event) => JSON.parse(event) as Event);
  };
  const withUsage = (more: Json = {}) => ({ stream_options: { include_usage: true, ...more } });

  describe("a streamed completion", () => {
    test("has events with one token or, when the engine is busy, several; the last says why it ended", async () => {
      const events = await streamed({ prompt: ids(7), max_tokens: many, ignore_eos: true });
      expect(events.length).toBeGreaterThan(1);
      expect(events.length).toBeLessThanOrEqual(many);
      const reasons = events.map(({ choices }) => choices[0]?.["finish_reason"]);
      expect(reasons).toEqual([...reasons.slice(1).map(() => null), "length"]);
      expect(events[0]?.choices[0]).toEqual({
        index: 0,
        text: expect.any(String),
        logprobs: null,
        finish_reason: null,
        stop_reason: null,
        prompt_token_ids: null,
        token_ids: null,
      });
      const plain = ["id", "object", "created", "model", "choices"];
      const keys = events.map((event) => Object.keys(event));
      expect(keys).toEqual([...keys.slice(1).map(() => plain), [...plain, "system_fingerprint"]]);
      expect(new Set(events.map(({ id }) => id)).size).toBe(1);
      expect(events[0]).toMatchObject({ object: "text_completion", model: "tiny" });
    });

    test("has usage in an event of its own when asked for", async () => {
      const events = await streamed({ prompt: ids(7), max_tokens: 3, ...withUsage() });
      expect(Object.keys(events.at(-2) ?? {})).not.toContain("system_fingerprint");
      expect(events.at(-1)).toMatchObject({
        choices: [],
        usage: { prompt_tokens: 7, total_tokens: 10, completion_tokens: 3 },
        system_fingerprint: expect.any(String),
      });
    });

    test("has usage in every event when that is asked for", async () => {
      const more = withUsage({ continuous_usage_stats: true });
      const events = await streamed({
        prompt: ids(7),
        max_tokens: many,
        ignore_eos: true,
        ...more,
      });
      const counts = events.map(({ usage }) => Number((usage as Json)["completion_tokens"]));
      expect(counts).toEqual(counts.toSorted((a, b) => a - b));
      expect(counts.slice(-2)).toEqual([many, many]);
    });

    test("interleaves its choices, and says who made it at the end of each", async () => {
      const asked = { n: 2, temperature: 1, ignore_eos: true };
      const events = await streamed({ prompt: ids(7), max_tokens: many, ...asked });
      const indexes = events.map(({ choices }) => Number(choices[0]?.["index"]));
      const sorted = indexes.toSorted((a, b) => a - b);
      expect(new Set(sorted)).toEqual(new Set([0, 1]));
      expect(indexes).not.toEqual(sorted);
      const signed = events.filter((event) => "system_fingerprint" in event);
      const reasons = signed.map(({ choices }) => choices[0]?.["finish_reason"]);
      expect(reasons).toEqual(["length", "length"]);
      expect(signed.at(-1)).toBe(events.at(-1));
    });
  });

  test("a streamed chat begins with who speaks", async () => {
    const events = await streamed({ max_tokens: 2, ...withUsage() }, chat);
    expect(events[0]).toMatchObject({ object: "chat.completion.chunk" });
    expect(events[0]?.choices).toEqual([
      { index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null },
    ]);
    const [second, usage] = [events[1]?.choices[0], events.at(-1)];
    expect(Object.keys(second ?? {}).slice(0, 4)).toEqual(Object.keys(events[0]?.choices[0] ?? {}));
    expect(second?.["delta"]).toEqual({ content: expect.any(String) });
    expect(events.at(-2)?.choices[0]).toMatchObject({ finish_reason: "length", stop_reason: null });
    expect(usage).toMatchObject({ choices: [], usage: { completion_tokens: 2 } });
  });
}
