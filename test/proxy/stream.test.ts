import { request } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { readOpening } from "../../src/proxy/answer/opening.ts";
import {
  createScene,
  echoAnswer,
  event,
  json,
  metricsOf,
  post,
  prefillAnswer,
  sse,
} from "./rig.ts";
import type { Answer } from "./rig.ts";

const { engine, pair, stop } = createScene();
afterEach(stop);

const role = 'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n';
const chunk = (choice: object): string => `data: ${JSON.stringify({ choices: [choice] })}\n\n`;

test.each([
  ["", "undecided"],
  ["data: {", "undecided"],
  [": keep-alive\n\n", "undecided"],
  [role, "undecided"],
  [chunk({ text: "", finish_reason: null }), "undecided"],
  ['data: {"choices":[]}\n\n', "undecided"],
  [event("a"), "begun"],
  [event("", "stop"), "begun"],
  [`${role}${chunk({ delta: { content: "a" } })}`, "begun"],
  [chunk({ delta: { tool_calls: [{}] } }), "begun"],
  [chunk({ delta: { reasoning_content: "hm" } }), "begun"],
  ["data: [DONE]\n\n", "begun"],
  ["data: something else\n\n", "begun"],
  ['data: {"object":"unknown"}\r\n\r\n', "begun"],
  [event("", "abort"), "aborted"],
  [`${role}${chunk({ delta: {}, finish_reason: "abort" })}`, "aborted"],
  [`${event("a")}${event("", "abort")}`, "begun"],
  ['data: {"error":{"message":"dead","code":500}}\n\n', "failed"],
  ['data: {"error":"dead"}\n\n', "failed"],
  ['data: {"error":{"message":"your mistake","code":400}}\n\n', "begun"],
])("an opening %j is %s", (text, kind) => {
  expect(readOpening(text).kind).toBe(kind);
});

describe("a stream of an engine that is shutting down", () => {
  test.each<[string, readonly string[]]>([
    ["at its first event", [event("", "abort")]],
    ["after it named the role", [role, chunk({ delta: {}, finish_reason: "abort" })]],
  ])("%s is taken over by another pair", async (_name, events) => {
    const draining: Answer = (_, response) => {
      sse(response, ...events);
      response.end("data: [DONE]\n\n");
    };
    const { p, d, proxy } = await pair(prefillAnswer(), draining);
    const spare = await engine("d1", "decode", (_, response) => {
      sse(response, role, event("whole"));
      response.end("data: [DONE]\n\n");
    });
    proxy.point([p, d, spare]);
    for (let turn = 0; turn < 3; turn++) {
      const { text } = await post(proxy.url, { prompt: "x", stream: true });
      expect(text).toBe(`${role}${event("whole")}data: [DONE]\n\n`);
    }
  });
});

test("an error in the middle of an event does not become a part of it", async () => {
  const { proxy } = await pair(prefillAnswer(), (_, response) => {
    sse(response, event("a"), 'data: {"choices":[{"te');
    setTimeout(() => response.destroy(), 20);
  });
  const { text } = await post(proxy.url, { prompt: "x", stream: true });
  const events = text.split("\n\n").filter(Boolean);
  expect(events[1]).toBe('data: {"choices":[{"te');
  expect(JSON.parse((events[2] ?? "").slice("data: ".length)).error.message).toMatch(
    /^d0 failed in the middle of the answer: /,
  );
  const metrics = await metricsOf(proxy.url);
  expect(metrics).toContain('pdjob_proxy_requests_total{outcome="broken"} 1');
  expect(metrics).not.toContain('outcome="served"');
});

describe("a client that leaves", () => {
  async function leaving(prefill: Answer, decode: Answer, when: "prefill" | "decode") {
    const { p, d, proxy } = await pair(prefill, decode);
    const leave = new AbortController();
    const gone = request(`${proxy.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "x", stream: true }),
      signal: leave.signal,
    }).catch(() => undefined);
    const busy = when === "prefill" ? p : d;
    await expect.poll(() => busy.seen.length).toBe(1);
    leave.abort();
    await gone;
    await busy.aborted;
    await expect.poll(() => proxy.pool.inFlight()).toEqual({});
    return { p, d, proxy };
  }

  const silent: Answer = () => undefined;

  test.each<["prefill" | "decode", Answer, Answer]>([
    ["prefill", silent, echoAnswer],
    ["decode", prefillAnswer(), silent],
  ])("ends the %s leg, and makes nobody suspect", async (when, prefill, decode) => {
    const { p, d, proxy } = await leaving(prefill, decode, when);
    expect([p.seen.length, d.seen.length]).toEqual([1, when === "prefill" ? 0 : 1]);
    expect([proxy.pool.isSuspect("p0"), proxy.pool.isSuspect("d0")]).toEqual([false, false]);
    const metrics = await metricsOf(proxy.url);
    expect(metrics).toContain('pdjob_proxy_requests_total{outcome="client_gone"} 1');
    expect(metrics).not.toContain('outcome="served"');
    expect(metrics).toContain("pdjob_proxy_retries_total 0");
  });

  test("in the middle of a stream is counted as gone, not as served", async () => {
    const { d, proxy } = await pair(prefillAnswer(), (_, response) => sse(response, event("a")));
    const leave = new AbortController();
    const answer = await request(`${proxy.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "x", stream: true }),
      signal: leave.signal,
    });
    answer.body.on("error", () => undefined);
    await new Promise((resolve) => answer.body.once("data", resolve));
    leave.abort();
    await d.aborted;
    await expect.poll(() => metricsOf(proxy.url)).toContain('outcome="client_gone"} 1');
    expect(await metricsOf(proxy.url)).not.toMatch(/outcome="(served|broken)"/);
    expect(proxy.pool.isSuspect("d0")).toBe(false);
  });
});

test("an answer that is not streamed goes on from a draining engine to another, too", async () => {
  const { p, d, proxy } = await pair(prefillAnswer(), (_, response) =>
    json(response, 200, { choices: [{ finish_reason: "abort" }] }),
  );
  const spare = await engine("d1", "decode", echoAnswer);
  proxy.point([p, d, spare]);
  for (let turn = 0; turn < 3; turn++)
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
});
