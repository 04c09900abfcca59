import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { createTail, endingOf, mayEndWithDone } from "../../src/proxy/answer/ending.ts";
import { createScene, event, json, metricsOf, post, prefillAnswer, sse } from "./rig.ts";
import type { Answer } from "./rig.ts";

const { engine, pair, stop } = createScene();
afterEach(stop);

const done = "data: [DONE]\n\n";
const usage = 'data: {"choices":[],"usage":{"total_tokens":3}}\n\n';
const error = (code: number): string => `data: {"error":{"message":"dead","code":${code}}}\n\n`;

test.each([
  ["", "cut"],
  [event("a"), "cut"],
  [`${event("a")}data: [DO`, "cut"],
  [event("the end: [DONE]"), "cut"],
  [`${event("a", "stop")}${done}`, "done"],
  [`${event("a", "length")}${usage}${done}`, "done"],
  [`ext":"half an event"}]}\n\n${event("a", "stop")}data: [DONE]\r\n\r\n`, "done"],
  [`${event('finish_reason":"abort"', "stop")}${done}`, "done"],
  [`${event("", "abort")}${done}`, "aborted"],
  [`${event("", "abort")}${usage}${done}`, "aborted"],
  [`${event("", "error")}${done}`, "aborted"],
  [event("", "abort"), "aborted"],
  [`${error(500)}${done}`, "failed"],
  [error(503), "failed"],
  [`data: {"error":"dead"}\n\n${done}`, "failed"],
  [`${error(400)}${done}`, "done"],
  [`data: {"error":null,"choices":[]}\n\n${done}`, "done"],
])("a stream that ends in %j is %s", (text, ending) => {
  expect(endingOf(text)).toBe(ending);
});

test("a tail is the end of what came, however it came", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 9_000 }), { maxLength: 8 }), (texts) => {
      const tail = createTail();
      const pieces = texts.map((text) => Buffer.from(text, "latin1"));
      for (const piece of pieces) tail.add(piece);
      const whole = Buffer.concat(pieces).toString("utf8");
      const text = tail.text();
      expect(whole.endsWith(text.slice(4))).toBe(true);
      expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(
        Math.min(16 * 1024, Buffer.byteLength(whole)) - 4,
      );
    }),
  );
});

test("nothing but a list or [DONE] is looked at closely", () => {
  expect(
    [event("a"), event("]"), "", "\n"].map((text) => mayEndWithDone(Buffer.from(text))),
  ).toEqual([false, false, false, false]);
  expect(
    [done, "data: [DONE]", `${event("a")}${done}`].map((one) => mayEndWithDone(Buffer.from(one))),
  ).toEqual([true, true, true]);
});

/** A decode engine that writes these pieces, one by one, and then ends in good order. */
const writing =
  (...pieces: readonly string[]): Answer =>
  (_, response) => {
    sse(response);
    const left = [...pieces];
    const next = (): void => {
      const piece = left.shift();
      if (piece === undefined) return void response.end();
      response.write(piece, () => setImmediate(next));
    };
    next();
  };

async function streamed(...pieces: readonly string[]) {
  const { proxy } = await pair(prefillAnswer(), writing(...pieces));
  const { text } = await post(proxy.url, { prompt: "x", stream: true });
  return { text, metrics: await metricsOf(proxy.url), isSuspect: proxy.pool.isSuspect("d0") };
}

const ended = (why: string): string =>
  `data: {"error":{"message":"d0 failed in the middle of the answer: ${why}","type":"InternalServerError","code":500}}\n\n`;

describe("a stream that has begun", () => {
  test.each<[string, readonly string[]]>([
    ["in one piece", [`${event("a")}${event("", "abort")}${done}`]],
    ["in a piece for each event", [event("a"), event("", "abort"), usage, done]],
  ])("and that the engine gives up, %s, ends in an error instead of [DONE]", async (_, pieces) => {
    const { text, metrics, isSuspect } = await streamed(...pieces);
    expect(text).toBe(pieces.join("").replace(done, ended("it aborted the request")));
    expect(metrics).toContain('pdjob_proxy_silent_failures_total{what="abort"} 1');
    expect(metrics).toContain('pdjob_proxy_requests_total{outcome="broken"} 1');
    expect(isSuspect).toBe(true);
  });

  test("and that ends without [DONE], ends in an error", async () => {
    const { text, metrics } = await streamed(event("a"), event("b"));
    expect(text).toBe(`${event("a")}${event("b")}${ended("the stream ended without [DONE]")}`);
    expect(metrics).toContain('pdjob_proxy_silent_failures_total{what="cut"} 1');
  });

  test("and whose engine says that it failed, is passed on as it is, and counts as broken", async () => {
    const pieces = [event("a"), error(500), done];
    const { text, metrics } = await streamed(...pieces);
    expect(text).toBe(pieces.join(""));
    expect(metrics).toContain('pdjob_proxy_requests_total{outcome="broken"} 1');
    expect(metrics).not.toContain("pdjob_proxy_silent_failures_total{");
  });

  test("is passed on byte for byte when it ends as it should, however it is cut", async () => {
    const whole = `${event("a")}${event("b", "stop")}${usage}${done}`;
    for (const at of [1, 40, whole.length - 12, whole.length - 3, whole.length - 1]) {
      const { text, metrics } = await streamed(whole.slice(0, at), whole.slice(at));
      expect(text).toBe(whole);
      expect(metrics).toContain('pdjob_proxy_requests_total{outcome="served"} 1');
      stop();
    }
  });
});

describe("an engine that fails behind a 200", () => {
  test.each<[string, object, Answer]>([
    [
      "and aborts a whole answer",
      {},
      (_, response) => json(response, 200, { choices: [{ finish_reason: "abort" }] }),
    ],
    [
      "and aborts a stream before its first token",
      { stream: true },
      writing(event("", "abort"), done),
    ],
  ])("%s is counted, and another serves", async (_name, more, aborting) => {
    const { p, d, proxy } = await pair(prefillAnswer(), aborting);
    const spare = await engine("d1", "decode", writing(event("a", "stop"), done));
    proxy.point([p, d, spare]);
    for (let turn = 0; turn < 2; turn++)
      expect((await post(proxy.url, { prompt: "x", ...more })).text).toContain(event("a", "stop"));
    expect(await metricsOf(proxy.url)).toContain(
      'pdjob_proxy_silent_failures_total{what="abort"} 1',
    );
  });

  test("and keeps no KV is counted", async () => {
    const { proxy } = await pair(prefillAnswer(null));
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
    expect(await metricsOf(proxy.url)).toContain(
      'pdjob_proxy_silent_failures_total{what="no_kv"} 1',
    );
  });
});
