import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { asking, flood } from "./unreading.ts";
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

/** What is promised. */
const withinMs = 1_000;
const tickMs = 10;

/** How long it takes, in time that this process, with clients, proxy and engines in it, could use: a stall of the machine is one tick. */
async function usedMs(until: () => Promise<unknown>): Promise<number> {
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), tickMs);
  await until();
  clearInterval(timer);
  return ticks * tickMs;
}

const silent: Answer = () => undefined;
const streaming: Answer = (_, response) => sse(response, event("a"));

test.each<[string, "p" | "d", Answer, Answer, object]>([
  ["during prefill", "p", silent, echoAnswer, {}],
  ["before the first byte of a stream", "d", prefillAnswer(), silent, { stream: true }],
  [
    "before the first token of a stream",
    "d",
    prefillAnswer(),
    (_, response) => sse(response, ": hm\n\n"),
    { stream: true },
  ],
  ["before a whole answer", "d", prefillAnswer(), silent, {}],
  ["in the middle of a stream", "d", prefillAnswer(), streaming, { stream: true }],
  [
    "in the middle of a stream that it does not read",
    "d",
    prefillAnswer(),
    flood,
    { stream: true },
  ],
  ["during one of several prefills", "p", silent, echoAnswer, { prompt: ["x", "y", "z"] }],
])(
  "a client that leaves %s ends its legs within a second, and nobody is blamed",
  async (_name, busy, prefill, decode, more) => {
    const { p, d, proxy } = await pair(prefill, decode);
    const client = asking(proxy.url, { prompt: "x", ...more });
    const one = busy === "p" ? p : d;
    await expect.poll(() => one.seen.length).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(proxy.pool.inFlight()).not.toEqual({});
    const tookMs = await usedMs(async () => {
      client.destroy();
      await one.aborted;
      await expect.poll(() => proxy.pool.inFlight(), { interval: 5 }).toEqual({});
    });
    expect(tookMs).toBeLessThan(withinMs);
    expect([proxy.pool.isSuspect("p0"), proxy.pool.isSuspect("d0")]).toEqual([false, false]);
    expect([proxy.pool.loadOf("p0"), proxy.pool.loadOf("d0")]).toEqual([0, 0]);
  },
);

test("an answer that is on its way out is not cut when another ends while the proxy stops", async () => {
  const text = "x".repeat(30_000_000);
  let stopNow = (): void => undefined;
  const isStopping = new Promise<void>((resolve) => (stopNow = resolve));
  const { d, proxy } = await pair(prefillAnswer(), ({ body }, response) => {
    if (body["prompt"] === "long") json(response, 200, { choices: [{ text }] });
    else void isStopping.then(() => json(response, 200, {}));
  });
  const [long, short] = ["long", "short"].map((prompt) => asking(proxy.url, { prompt }));
  await expect.poll(() => d.seen.length).toBe(2);
  // By then the proxy has all of the long answer, of which its client has read nothing.
  await expect
    .poll(() => metricsOf(proxy.url), { timeout: 30_000 })
    .toContain('outcome="served"} 1');
  const isStopped = proxy.shutDown(60_000);
  stopNow();
  short?.resume();
  await once(short!, "close");
  let received = 0;
  long?.on("data", (part: Buffer) => (received += part.length)).resume();
  await once(long!, "close");
  expect(received).toBeGreaterThan(text.length);
  await isStopped;
});

describe("a request of which a part fails", () => {
  test("ends its other parts at once", async () => {
    const { d, proxy } = await pair(prefillAnswer(), ({ body }, response) => {
      if (body["prompt"] === "wrong") json(response, 400, { error: { message: "wrong" } });
    });
    const answer = post(proxy.url, { prompt: ["x", "y", "wrong"] });
    expect((await answer).status).toBe(400);
    const tookMs = await usedMs(async () => {
      await d.aborted;
      await expect.poll(() => proxy.pool.inFlight(), { interval: 5 }).toEqual({});
    });
    expect(tookMs).toBeLessThan(withinMs);
  });

  test("whose prefill failed asks no decode, and frees the one that it had chosen", async () => {
    const { p, d, proxy } = await pair((_, response) => json(response, 503, {}));
    const spare = await engine("d1", "decode", echoAnswer);
    proxy.point([p, d, spare]);
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(502);
    expect([d.seen.length + spare.seen.length, proxy.pool.inFlight()]).toEqual([0, {}]);
  });
});
