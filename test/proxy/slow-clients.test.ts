import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { bodyDeadlineMs } from "../../src/proxy/admission/limits.ts";
import { rawTo } from "./raw.ts";
import type { Raw } from "./raw.ts";
import { createScene, echoAnswer, event, post, prefillAnswer, sse } from "./rig.ts";

const { pair, stop } = createScene();
afterEach(stop);

const start = "POST /v1/completions HTTP/1.1\r\nHost: proxy\r\n";
const body = '{"prompt":"x"}';
const whole = `${start}Content-Length: ${body.length}\r\n\r\n${body}`;

/** Sends a text byte by byte, for as long as it is listened to. */
function drip({ socket, closed }: Raw, text: string, everyMs: number): void {
  let at = 0;
  const timer = setInterval(() => void socket.write(text[at++ % text.length] ?? ""), everyMs);
  void closed.then(() => clearInterval(timer));
}

test("a body may take 30 s, and a second more for each 64 KiB that have come", () => {
  const pace = { startMs: 30_000, bytesPerS: 64 * 1024 };
  expect(
    [0, 1024, 64 * 1024, 64 * 1024 * 1024].map((bytes) => bodyDeadlineMs(pace, bytes)),
  ).toEqual([30_000, 30_015.625, 31_000, 1_054_000]);
});

describe("a client that sends drop by drop", () => {
  const server = { headersTimeoutMs: 400, pace: { startMs: 400, bytesPerS: 1_000_000 } };

  test("is closed when its headers take too long, and so is one that sends nothing", async () => {
    const { p, proxy } = await pair(prefillAnswer(), echoAnswer, { server });
    const [slow, silent] = [rawTo(proxy.url), rawTo(proxy.url)];
    slow.socket.write(start);
    drip(slow, "X-Any: a\r\n", 20);
    await Promise.all([slow.closed, silent.closed]);
    expect([slow.answers(), silent.answers()]).toEqual([[408], [408]]);
    expect(p.seen).toEqual([]);
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  });

  test.each([
    ["of a length", "Content-Length: 100000\r\n\r\n", "x"],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"],
  ])("is told that its body %s came too slowly", async (_, headers, drops) => {
    const { p, proxy } = await pair(prefillAnswer(), echoAnswer, { server });
    const slow = rawTo(proxy.url);
    slow.socket.write(start + headers);
    drip(slow, drops, 20);
    await slow.closed;
    expect(slow.answers()).toEqual([408]);
    expect(slow.text()).toContain('"message":"The request body came too slowly."');
    expect(p.seen).toEqual([]);
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
    expect(proxy.metrics.totals()).toMatchObject({ rejected: 1, served: 1 });
  });

  test("takes no place among the requests at once", async () => {
    const limits = { server: { concurrentMax: 2 } };
    const { proxy } = await pair(prefillAnswer(), echoAnswer, limits);
    const slow = Array.from({ length: 5 }, () => rawTo(proxy.url));
    for (const { socket } of slow) {
      await once(socket, "connect");
      socket.write(`${start}Content-Length: 10\r\n\r\n{`);
    }
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
    for (const { socket } of slow) socket.destroy();
  });
});

describe("a client that leaves", () => {
  test("in its body is counted, and nothing is logged", async () => {
    const { p, proxy } = await pair();
    const { socket } = rawTo(proxy.url);
    socket.write(`${start}Content-Length: 100\r\n\r\n{`);
    await once(socket, "connect");
    setTimeout(() => socket.resetAndDestroy(), 50);
    await expect.poll(() => proxy.metrics.totals()).toMatchObject({ client_gone: 1 });
    expect([p.seen, proxy.logs]).toEqual([[], []]);
  });

  test("with half of its connection has left: its request ends at the engine", async () => {
    const { d, proxy } = await pair(prefillAnswer(), (asked, response) =>
      asked.body["stream"] ? sse(response, event("a")) : echoAnswer(asked, response),
    );
    const { socket, text, closed } = rawTo(proxy.url);
    const asked = body.replace("}", ',"stream":true}');
    socket.write(`${start}Content-Length: ${asked.length}\r\n\r\n${asked}`);
    await expect.poll(text).toContain("data:");
    socket.end();
    await Promise.all([d.aborted, closed]);
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  });

  test("in the headers, again and again, leaves nothing behind", async () => {
    const { proxy } = await pair();
    for (let count = 0; count < 50; count += 1) {
      const { socket } = rawTo(proxy.url);
      await once(socket, "connect");
      socket.write(start);
      socket.resetAndDestroy();
    }
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  });
});

test("noise behind a good request ends the connection, and nothing else", async () => {
  const { proxy } = await pair();
  const raw = rawTo(proxy.url);
  raw.socket.write(`${whole}\0\0\0\0\r\n\r\n`);
  await raw.closed;
  expect(raw.answers().length).toBeGreaterThan(0);
  expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
});

test("an idle connection is kept for longer than clients keep theirs, and clients are told so", async () => {
  const { proxy } = await pair();
  const answer = await post(proxy.url, { prompt: "x" });
  expect(answer.headers["keep-alive"]).toBe("timeout=65");
});
