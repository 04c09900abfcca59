import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Gone } from "../../src/proxy/answer/gone.ts";
import { passOn } from "../../src/proxy/answer/stream.ts";
import { defaultServerLimits } from "../../src/proxy/admission/limits.ts";
import { createScene, echoAnswer, json, metricsOf, post, prefillAnswer } from "./rig.ts";
import { asking, flood } from "./unreading.ts";

const { pair, stop } = createScene();
afterEach(() => {
  vi.useRealTimers();
  stop();
});

const server = { unreadMs: 300 };
/** More than all buffers on the way hold. */
const large = "x".repeat(32 * 1024 * 1024);

describe("a client that stays and reads nothing", () => {
  test("is cut off a stream, and everything that it holds is free again", async () => {
    const { d, proxy } = await pair(prefillAnswer(), flood, { server });
    const client = asking(proxy.url, { prompt: "x", stream: true });
    await d.aborted;
    await expect.poll(() => proxy.pool.inFlight()).toEqual({});
    await expect.poll(() => metricsOf(proxy.url)).toContain("pdjob_proxy_body_bytes 0\n");
    expect(proxy.metrics.totals()).toEqual({ client_gone: 1, retries: 0, broken: 0 });
    expect([proxy.pool.isSuspect("d0"), proxy.logs]).toEqual([false, []]);
    client.destroy();
  });

  test("is cut off a whole answer, which would wait in memory for it", async () => {
    const { proxy } = await pair(
      prefillAnswer(),
      (_, response) => json(response, 200, { choices: [], large }),
      { server },
    );
    const client = asking(proxy.url, { prompt: "x" });
    await expect.poll(() => proxy.metrics.totals()).toMatchObject({ served: 1 });
    expect(client.destroyed).toBe(false);
    await expect.poll(proxy.connections).toBe(0);
    client.destroy();
  });

  test("has five minutes, and again after each time that it took something", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { unreadMs } = defaultServerLimits;
    expect(unreadMs).toBe(300_000);
    const destroy = vi.fn();
    const response = Object.assign(new EventEmitter(), {
      writeHead: () => undefined,
      write: () => false,
      destroy,
    });
    const pause = vi.fn();
    const nothing = () => undefined;
    void passOn(
      {
        kind: "stream",
        member: { name: "d0", role: "decode", url: "http://h:1" },
        status: 200,
        headers: {},
        opening: Buffer.from("data: {}\n\n"),
        body: {
          each: (take) => void response.on("drain", () => take(Buffer.from("data: {}\n\n"))),
          pause,
          resume: nothing,
          destroy: nothing,
          next: () => Promise.resolve(undefined),
          whole: () => Promise.resolve(Buffer.alloc(0)),
        },
        visit: { asked: nothing, came: nothing, gaveUp: nothing, leave: nothing },
        leave: nothing,
      },
      {
        response: response as unknown as ServerResponse,
        headers: {},
        ended: new Gone(),
        idleTimeoutMs: 60_000,
        unreadMs,
      },
    );
    for (let turn = 1; turn <= 3; turn += 1) {
      vi.advanceTimersByTime(unreadMs - 1);
      expect([pause.mock.calls.length, destroy.mock.calls.length]).toEqual([turn, 0]);
      response.emit("drain");
    }
    vi.advanceTimersByTime(unreadMs);
    expect(destroy).toHaveBeenCalledOnce();
  });
});

test("a client that reads has its large answer whole, and its connection for the next one", async () => {
  const { proxy } = await pair(
    prefillAnswer(),
    (asked, response) =>
      asked.body["prompt"] === "large"
        ? json(response, 200, { choices: [], large })
        : echoAnswer(asked, response),
    { server: { unreadMs: 60_000 } },
  );
  const answer = await post(proxy.url, { prompt: "large" });
  expect((JSON.parse(answer.text) as { large: string }).large).toHaveLength(large.length);
  expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
});
