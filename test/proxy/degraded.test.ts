import { request } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import {
  createScene,
  echoAnswer,
  event,
  json,
  messageOf,
  metricsOf,
  post,
  prefillAnswer,
  sse,
} from "./rig.ts";
import type { Answer } from "./rig.ts";

const { engine, pair, stop } = createScene();
afterEach(stop);

const decodeLocal = { selection: { withoutPrefill: "decode-local" } } as const;
const bodyOf = ({ text }: { readonly text: string }) =>
  (JSON.parse(text) as { body: Record<string, unknown> }).body;

describe("without a prefill member", () => {
  test("a request fails unless something else was asked for", async () => {
    const { p, d, proxy } = await pair();
    proxy.point([d]);
    const answer = await post(proxy.url, { prompt: "x" });
    expect([answer.status, answer.headers["x-pdjob-degraded"], messageOf(answer)]).toEqual([
      503,
      undefined,
      "No prefill replica is ready (0 prefill, 1 decode). See pdjob-client status.",
    ]);
    expect([p.seen.length, d.seen.length]).toEqual([0, 0]);
  });

  test("decode-local has a decode engine compute the prompt, and says so everywhere", async () => {
    const { p, d, proxy } = await pair(prefillAnswer(), echoAnswer, decodeLocal);
    const whole = await post(proxy.url, { prompt: "x" });
    expect(whole.headers["x-pdjob-degraded"]).toBeUndefined();
    expect(await metricsOf(proxy.url)).toContain('pdjob_proxy_degraded{policy="decode-local"} 0');
    proxy.point([d]);
    const answer = await post(proxy.url, {
      prompt: "x",
      kv_transfer_params: { remote_request_id: "stale" },
    });
    expect([answer.status, answer.headers["x-pdjob-degraded"]]).toEqual([200, "decode-local"]);
    expect(bodyOf(answer)).toEqual({ prompt: "x" });
    expect(p.seen).toHaveLength(1);
    const metrics = await metricsOf(proxy.url);
    expect(metrics).toContain('pdjob_proxy_without_prefill_total{reason="no_prefill"} 1');
    expect(metrics).toContain('pdjob_proxy_degraded{policy="decode-local"} 1');
    const health = await request(`${proxy.url}/health`);
    expect([health.statusCode, await health.body.json()]).toEqual([
      200,
      {
        status: "degraded",
        degraded: "decode-local",
        reason: "No prefill replica is ready (0 prefill, 1 decode). See pdjob-client status.",
      },
    ]);
    proxy.point([p, d]);
    const after = await post(proxy.url, { prompt: "x" });
    expect(after.headers["x-pdjob-degraded"]).toBeUndefined();
  });

  test("decode-local streams, and answers several prompts as one", async () => {
    const { d, proxy } = await pair(
      prefillAnswer(),
      (asked, response) => {
        if (!asked.body["stream"]) return echoAnswer(asked, response);
        sse(response, event("a"));
        response.end("data: [DONE]\n\n");
      },
      decodeLocal,
    );
    proxy.point([d]);
    const stream = await post(proxy.url, { prompt: "x", stream: true });
    expect([stream.headers["x-pdjob-degraded"], stream.text]).toEqual([
      "decode-local",
      `${event("a")}data: [DONE]\n\n`,
    ]);
    const several = await post(proxy.url, { prompt: ["x", "y"] });
    expect([several.status, several.headers["x-pdjob-degraded"]]).toEqual([200, "decode-local"]);
  });

  test("decode-local without a decode member fails as well", async () => {
    const { p, proxy } = await pair(prefillAnswer(), echoAnswer, decodeLocal);
    proxy.point([p]);
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(503);
    expect((await request(`${proxy.url}/health`)).statusCode).toBe(503);
    proxy.point([]);
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(503);
  });
});

describe("prefill members that are told of and do not answer", () => {
  const broken: Answer = (_, response) => json(response, 503, { error: "asleep" });

  test.each([1, 2, 3, 4])("%i of them: decode-local serves all the same", async (size) => {
    const { p, d, proxy } = await pair(broken, echoAnswer, decodeLocal);
    const others = await Promise.all(
      Array.from({ length: size - 1 }, (_, at) => engine(`p${at + 1}`, "prefill", broken)),
    );
    proxy.point([p, ...others, d]);
    const answer = await post(proxy.url, { prompt: "x" });
    expect([answer.status, answer.headers["x-pdjob-degraded"]]).toEqual([200, "decode-local"]);
    expect(bodyOf(answer)).toEqual({ prompt: "x" });
    const asked = [p, ...others].reduce((sum, { seen }) => sum + seen.length, 0);
    expect(asked).toBe(Math.min(size, 2));
  });

  test("a sound one is found first", async () => {
    const { p, d, proxy } = await pair(broken, echoAnswer, decodeLocal);
    const sound = await engine("p1", "prefill", prefillAnswer());
    proxy.point([p, sound, d]);
    for (let turn = 0; turn < 4; turn++) {
      const answer = await post(proxy.url, { prompt: "x" });
      expect([answer.status, answer.headers["x-pdjob-degraded"]]).toEqual([200, undefined]);
    }
  });

  test("one that a request may have ended, and then a decode, are all that it ends", async () => {
    const dying: Answer = (_, response) => void response.destroy();
    const { p, d, proxy } = await pair(dying, dying, decodeLocal);
    const spares = [await engine("p1", "prefill", dying), await engine("d1", "decode", dying)];
    for (const one of [p, d, ...spares]) one.die();
    proxy.point([p, d, ...spares]);
    const answer = await post(proxy.url, { prompt: "x" });
    expect(answer.status).toBe(502);
    const asked = [p, d, ...spares].filter(({ seen }) => seen.length > 0);
    expect(asked).toHaveLength(2);
  });

  test("KV that no decode can load is computed by the last try", async () => {
    const { p, d, proxy } = await pair(
      prefillAnswer(),
      (asked, response) => {
        const hasKv = asked.body["kv_transfer_params"] !== undefined;
        if (hasKv) json(response, 500, { error: { message: "KV load failed" } });
        else echoAnswer(asked, response);
      },
      decodeLocal,
    );
    const answer = await post(proxy.url, { prompt: "x" });
    expect([answer.status, answer.headers["x-pdjob-degraded"]]).toEqual([200, "decode-local"]);
    expect([p.seen.length, d.seen.length]).toEqual([2, 3]);
  });
});
