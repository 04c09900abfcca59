import { afterEach, expect, test } from "vitest";
import { createScene, echoAnswer, event, post, prefillAnswer, sse } from "./rig.ts";
import type { Answer } from "./rig.ts";

const { pair, stop } = createScene();
afterEach(stop);

const quick = { selection: { silenceMs: 200, ejectionMs: 60_000 } };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends nothing until it is told to. */
function held(begin: Answer, go: Answer) {
  const waiting: (() => void)[] = [];
  const answer: Answer = (asked, response) => {
    begin(asked, response);
    waiting.push(() => go(asked, response));
  };
  return { answer, release: () => waiting.splice(0).forEach((one) => one()) };
}
const nothing: Answer = () => undefined;
const finish: Answer = (_, response) => void response.end(`${event("a", "stop")}data: [DONE]\n\n`);

test.each<[string, "p0" | "d0", Answer, Answer, boolean]>([
  ["a prefill", "p0", nothing, prefillAnswer(), false],
  [
    "a decode whose stream has headers alone",
    "d0",
    (_, response) => sse(response, ""),
    finish,
    true,
  ],
  [
    "a decode in the middle of a stream",
    "d0",
    (_, response) => sse(response, event("a")),
    finish,
    true,
  ],
])(
  "%s that sends nothing is passed over until its next byte",
  async (_name, who, begin, go, stream) => {
    const { answer, release } = held(begin, go);
    const isPrefill = who === "p0";
    const { p, d, proxy } = await pair(
      isPrefill ? answer : prefillAnswer(),
      isPrefill ? echoAnswer : answer,
      quick,
    );
    const asked = post(proxy.url, { prompt: "x", ...(stream ? { stream } : {}) });
    await expect.poll(() => (isPrefill ? p : d).seen.length).toBe(1);
    await expect.poll(() => proxy.pool.isDoubtful(who)).toBe(true);
    expect(proxy.pool.doubts()).toEqual({ failed: 0, silent: 1, pair: 0 });
    release();
    expect((await asked).status).toBe(200);
    expect(proxy.pool.isDoubtful(who)).toBe(false);
  },
);

test("a decode that takes its time for a whole answer is not silent", async () => {
  const { answer, release } = held(nothing, echoAnswer);
  const { d, proxy } = await pair(prefillAnswer(), answer, quick);
  const asked = post(proxy.url, { prompt: "x" });
  await expect.poll(() => d.seen.length).toBe(1);
  await pause(500);
  expect(proxy.pool.isDoubtful("d0")).toBe(false);
  release();
  expect((await asked).status).toBe(200);
});
