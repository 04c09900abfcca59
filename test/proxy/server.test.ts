import { once } from "node:events";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { request } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import {
  createScene,
  echoAnswer,
  event,
  messageOf,
  metricsOf,
  post,
  prefillAnswer,
  sse,
} from "./rig.ts";
import { rawTo } from "./raw.ts";
import type { Answer } from "./rig.ts";

const { pair, stop } = createScene();
afterEach(stop);

/** Answers when it is told to. */
function held() {
  const waiting: (() => void)[] = [];
  const answer: Answer = (asked, response) => void waiting.push(() => echoAnswer(asked, response));
  return { answer, release: () => waiting.splice(0).forEach((go) => go()) };
}

describe("limits", () => {
  const small = { server: { bodyBytesMax: 1_000, concurrentMax: 2 } };
  const large = JSON.stringify({ prompt: "x".repeat(2_000) });

  test("a body that is too large is refused with its limit, whether its length is told or not", async () => {
    const { p, proxy } = await pair(prefillAnswer(), echoAnswer, small);
    const told = await post(proxy.url, large);
    expect([told.status, messageOf(told)]).toEqual([
      413,
      "The request body is larger than 1000 bytes.",
    ]);
    const chunked = await request(`${proxy.url}/v1/completions`, {
      method: "POST",
      body: Readable.from([large.slice(0, 500), large.slice(500)]),
    });
    expect(chunked.statusCode).toBe(413);
    expect(p.seen).toHaveLength(0);
    expect((await post(proxy.url, { prompt: "y".repeat(900) })).status).toBe(200);
    expect(await metricsOf(proxy.url)).toContain('outcome="rejected"} 2');
  });

  test("bodies that together would take more memory than allowed are refused until others have ended", async () => {
    const { answer, release } = held();
    const server = { bodyBytesMax: 3_000, memoryBytesMax: 5_000 };
    const { d, proxy } = await pair(prefillAnswer(), answer, { server });
    const running = [1, 2].map(() => post(proxy.url, large));
    await expect.poll(() => d.seen.length).toBe(2);
    const refused = await post(proxy.url, large);
    expect([refused.status, refused.headers["retry-after"], messageOf(refused)]).toEqual([
      503,
      "1",
      "The bodies of all requests are more than 5000 bytes: ask again, or raise scheduler.limits.max_memory_mib.",
    ]);
    const little = post(proxy.url, { prompt: "x" });
    await expect.poll(() => d.seen.length).toBe(3);
    release();
    expect((await Promise.all([...running, little])).map(({ status }) => status)).toEqual([
      200, 200, 200,
    ]);
    const next = post(proxy.url, large);
    await expect.poll(() => d.seen.length).toBe(4);
    release();
    expect((await next).status).toBe(200);
  });

  test("what had come of a body whose client left makes room again", async () => {
    const server = { bodyBytesMax: 3_000, memoryBytesMax: 5_000 };
    const { proxy } = await pair(prefillAnswer(), echoAnswer, { server });
    const part = `POST /v1/completions HTTP/1.1\r\nHost: proxy\r\nContent-Length: 3000\r\n\r\n${"x".repeat(2_500)}`;
    const leaving = [1, 2].map(() => rawTo(proxy.url));
    for (const { socket } of leaving) socket.write(part);
    await expect.poll(() => metricsOf(proxy.url)).toContain("pdjob_proxy_body_bytes 5000\n");
    expect((await post(proxy.url, large)).status).toBe(503);
    for (const { socket } of leaving) socket.destroy();
    await expect.poll(() => metricsOf(proxy.url)).toContain("pdjob_proxy_body_bytes 0\n");
    expect((await post(proxy.url, large)).status).toBe(200);
  });

  test("a body that is too large is not asked for", async () => {
    const { proxy } = await pair(prefillAnswer(), echoAnswer, small);
    const head = `POST /v1/completions HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n`;
    const raw = rawTo(proxy.url);
    raw.socket.write(head);
    await expect.poll(raw.answers).toEqual([413]);
    raw.socket.destroy();
  });

  test("one request more than allowed is refused until another has ended", async () => {
    const { answer, release } = held();
    const { d, proxy } = await pair(prefillAnswer(), answer, small);
    const running = [1, 2].map(() => post(proxy.url, { prompt: "x" }));
    await expect.poll(() => d.seen.length).toBe(2);
    const refused = await post(proxy.url, { prompt: "x" });
    expect([refused.status, refused.headers["retry-after"], messageOf(refused)]).toEqual([
      503,
      "1",
      "More than 2 requests at once.",
    ]);
    release();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    const next = post(proxy.url, { prompt: "x" });
    await expect.poll(() => d.seen.length).toBe(3);
    release();
    expect((await next).status).toBe(200);
  });
});

test("/v1/models tells a decode that does not answer from one that is not there", async () => {
  const { p, d, proxy } = await pair();
  const models = async () => {
    const { statusCode, body } = await request(`${proxy.url}/v1/models`);
    return [statusCode, messageOf({ text: await body.text() })];
  };
  d.close();
  expect(await models()).toEqual([
    503,
    "No decode replica answered /v1/models. See pdjob-client status.",
  ]);
  proxy.point([p]);
  expect(await models()).toEqual([
    503,
    "No decode replica is ready (1 prefill, 0 decode). See pdjob-client status.",
  ]);
});

describe("a proxy that stops", () => {
  const accepts = (url: string): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.once("connect", () => (socket.destroy(), resolve(true)));
      socket.once("error", () => resolve(false));
    });

  test("lets streams end, and takes no new connection meanwhile", async () => {
    let finish = (): void => undefined;
    const { d, proxy } = await pair(prefillAnswer(), (_, response) => {
      sse(response, event("a"));
      finish = () => void response.end("data: [DONE]\n\n");
    });
    const streaming = post(proxy.url, { prompt: "x", stream: true });
    await expect.poll(() => d.seen.length).toBe(1);
    let stopped = false;
    const stopping = proxy.shutDown(10_000).then(() => void (stopped = true));
    await expect.poll(() => accepts(proxy.url)).toBe(false);
    expect(stopped).toBe(false);
    finish();
    expect((await streaming).text).toBe(`${event("a")}data: [DONE]\n\n`);
    await stopping;
  });

  test("does not wait for connections that never asked for anything", async () => {
    const { proxy } = await pair();
    const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
    await once(socket, "connect");
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
    const closed = once(socket, "close");
    await proxy.shutDown(600_000);
    await closed;
  });

  test("ends what is left after its grace with an explicit error", async () => {
    const { d, proxy } = await pair(prefillAnswer(), (request, response) => {
      if (request.body["stream"] === true) sse(response, event("a"));
    });
    const streaming = post(proxy.url, { prompt: "x", stream: true });
    const whole = post(proxy.url, { prompt: "x" });
    await expect.poll(() => d.seen.length).toBe(2);
    await proxy.shutDown(50);
    const { text } = await streaming;
    expect(text.startsWith(event("a"))).toBe(true);
    expect(text).toContain('data: {"error":{"message":"The proxy is stopping."');
    const answer = await whole;
    expect([answer.status, messageOf(answer)]).toEqual([503, "The proxy is stopping."]);
    expect(proxy.pool.isSuspect("d0")).toBe(false);
  });
});
