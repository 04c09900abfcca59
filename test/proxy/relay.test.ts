import { request } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { createScene, echoAnswer, json, metricsOf, post, prefillAnswer } from "./rig.ts";
import type { Answer } from "./rig.ts";

const { engine: extra, pair, stop } = createScene();
afterEach(stop);

describe("a request", () => {
  test("goes to prefill for one token, then unchanged to decode with that answer's KV parameters", async () => {
    const { p, d, proxy } = await pair(
      prefillAnswer({ remote_request_id: "kv-1", blocks: [[1, 2]] }),
    );
    const body = {
      model: "m",
      messages: [{ role: "user", content: "grüße 🙂" }],
      max_completion_tokens: 50,
      temperature: 0.5,
      chat_template_kwargs: { x: [1] },
    };
    const { status, text } = await post(proxy.url, body, {}, "/v1/chat/completions");
    expect(status).toBe(200);
    expect(p.seen[0]?.path).toBe("/v1/chat/completions");
    expect(p.seen[0]?.body).toMatchObject({
      messages: body.messages,
      max_tokens: 1,
      max_completion_tokens: 1,
      stream: false,
      kv_transfer_params: { do_remote_decode: true },
    });
    expect(JSON.parse(text).body).toEqual({
      ...body,
      kv_transfer_params: { remote_request_id: "kv-1", blocks: [[1, 2]] },
    });
    expect(d.seen).toHaveLength(1);
  });

  test("never carries KV parameters of a client", async () => {
    const { p, d, proxy } = await pair(prefillAnswer(null));
    await post(proxy.url, {
      prompt: "x",
      kv_transfer_params: { do_remote_prefill: true, remote_host: "evil" },
    });
    expect(p.seen[0]?.body["kv_transfer_params"]).toMatchObject({
      do_remote_prefill: false,
      remote_host: null,
    });
    expect(d.seen[0]?.body).toEqual({ prompt: "x" });
  });

  test("that prefill answers without KV is served by decode alone, and counted", async () => {
    const { proxy } = await pair(prefillAnswer(null));
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
    expect(await metricsOf(proxy.url)).toContain('without_prefill_total{reason="no_kv"} 1');
  });

  test("with engines that share a store goes to prefill, then to decode, and no KV parameters go anywhere", async () => {
    const order: string[] = [];
    const { p, d, proxy } = await pair(
      (request, response) => {
        order.push("prefill");
        prefillAnswer({ remote_host: "one that nobody should ask" })(request, response);
      },
      (request, response) => {
        order.push("decode");
        echoAnswer(request, response);
      },
      { handOver: "store" },
    );
    const body = { prompt: "x", max_tokens: 9, kv_transfer_params: { remote_host: "evil" } };
    expect((await post(proxy.url, body)).status).toBe(200);
    expect(order).toEqual(["prefill", "decode"]);
    expect(p.seen[0]?.body).toEqual({ prompt: "x", max_tokens: 1, stream: false });
    expect(d.seen[0]?.body).toEqual({ prompt: "x", max_tokens: 9 });
  });

  test("carries one unique request id on both legs, credentials too, and no hop-by-hop header", async () => {
    const { p, d, proxy } = await pair();
    const first = await post(
      proxy.url,
      { prompt: "x" },
      { "x-request-id": "mine", authorization: "Bearer k" },
    );
    const second = await post(proxy.url, { prompt: "x" }, { "x-request-id": "mine" });
    expect(first.headers["x-request-id"]).toMatch(/^mine-[0-9a-f]{16}-[0-9a-z]+$/);
    expect(first.headers["x-request-id"]).not.toBe(second.headers["x-request-id"]);
    expect([p.seen[0], d.seen[0]].map((one) => one?.headers["x-request-id"])).toEqual([
      first.headers["x-request-id"],
      first.headers["x-request-id"],
    ]);
    expect(d.seen[0]?.headers.authorization).toBe("Bearer k");
  });

  test("is streamed through byte for byte", async () => {
    const bytes = 'data: {"choices":[{"text":"é"}]}\n\n: keep-alive\n\ndata: [DONE]\n\n';
    const { proxy } = await pair(prefillAnswer(), (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      response.write(bytes.slice(0, 10));
      setTimeout(() => response.end(bytes.slice(10)), 20);
    });
    const { text, headers } = await post(proxy.url, { prompt: "x", stream: true });
    expect(text).toBe(bytes);
    expect(headers["content-type"]).toBe("text/event-stream; charset=utf-8");
  });

  test("that an engine finds wrong gets that engine's own answer", async () => {
    const { d, proxy } = await pair((_, response) =>
      json(response, 400, { error: { message: "max_tokens must be at least 1" } }),
    );
    const { status, text } = await post(proxy.url, { prompt: "x", max_tokens: 0 });
    expect([status, JSON.parse(text).error.message, d.seen.length]).toEqual([
      400,
      "max_tokens must be at least 1",
      0,
    ]);
  });

  test.each(["{", "[]", "null", '"x"', ""])(
    "that is no JSON object (%j) is refused",
    async (body) => {
      const { p, proxy } = await pair();
      const { status, text } = await post(proxy.url, body);
      expect([status, JSON.parse(text).error.type, p.seen.length]).toEqual([
        400,
        "BadRequestError",
        0,
      ]);
    },
  );
});

describe("a failing engine before the first byte", () => {
  const failing: readonly (readonly [string, Answer])[] = [
    ["answers 500", (_, response) => json(response, 500, { error: {} })],
    ["drops the connection", (_, response) => void response.destroy()],
    [
      "aborts because it shuts down",
      (_, response) => json(response, 200, { choices: [{ finish_reason: "abort" }] }),
    ],
  ];

  test.each(failing)(
    "prefill %s: another pair serves, with a fresh prefill",
    async (_name, answer) => {
      const { p, d, proxy } = await pair(answer);
      const spare = await extra("p1", "prefill", prefillAnswer({ remote_request_id: "fresh" }));
      proxy.point([p, spare, d]);
      for (let turn = 0; turn < 4; turn++) {
        const { status, text } = await post(proxy.url, { prompt: "x" });
        expect(status).toBe(200);
        expect(JSON.parse(text).body.kv_transfer_params).toEqual({ remote_request_id: "fresh" });
      }
    },
  );

  test.each(failing.filter(([name]) => name !== "answers 500"))(
    "decode %s: another pair serves, and no KV parameters are used twice",
    async (_name, answer) => {
      let count = 0;
      const { p, d, proxy } = await pair(
        (_, response) => json(response, 200, { choices: [], kv_transfer_params: { id: ++count } }),
        answer,
      );
      const spare = await extra("d1", "decode", echoAnswer);
      proxy.point([p, d, spare]);
      for (let turn = 0; turn < 4; turn++)
        expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
      const used = [...d.seen, ...spare.seen].map(
        ({ body }) => (body["kv_transfer_params"] as { id: number }).id,
      );
      expect(new Set(used).size).toBe(used.length);
    },
  );

  test("without another pair ends in an error that says what happened", async () => {
    const { proxy } = await pair(prefillAnswer(), (_, response) =>
      json(response, 503, { error: "asleep" }),
    );
    const { status, text } = await post(proxy.url, { prompt: "x" });
    expect(status).toBe(502);
    expect(JSON.parse(text).error.message).toMatch(
      /^No prefill\/decode pair could serve the request; the last attempt: d0 answered 503: .*asleep/,
    );
  });
});

test("an engine that dies in the middle of a stream ends it with an explicit error event", async () => {
  const { proxy, d } = await pair(prefillAnswer(), (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"n":1}\n\n');
    setTimeout(() => response.destroy(), 20);
  });
  const { text } = await post(proxy.url, { prompt: "x", stream: true });
  expect(text).toMatch(
    /^data: \{"n":1\}\n\ndata: \{"error":\{"message":"d0 failed in the middle of the answer/,
  );
  expect(d.seen).toHaveLength(1);
});

test("a client that leaves ends both legs", async () => {
  const { d, proxy } = await pair(prefillAnswer(), (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
  });
  const leave = new AbortController();
  const answer = await request(`${proxy.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ prompt: "x", stream: true }),
    signal: leave.signal,
  });
  answer.body.on("error", () => undefined);
  await new Promise((resolve) => answer.body.once("data", resolve));
  // The prefill is free again: its KV was pulled before the first byte.
  expect(proxy.pool.inFlight()).toEqual({ d0: 1 });
  leave.abort();
  await d.aborted;
  await expect.poll(() => proxy.pool.inFlight()).toEqual({});
});

describe("membership", () => {
  test("a removed member gets no new work, and is reported busy until its stream ends", async () => {
    let finish = (): void => undefined;
    const { p, d, proxy } = await pair(prefillAnswer(), (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: 1\n\n");
      finish = () => void response.end("data: [DONE]\n\n");
    });
    const streaming = post(proxy.url, { prompt: "x", stream: true });
    await expect.poll(() => proxy.pool.countOf("d0")).toBe(1);
    const next = await extra("d1", "decode", echoAnswer);
    proxy.point([p, next]);
    expect((await post(proxy.url, { prompt: "y" })).status).toBe(200);
    expect([d.seen.length, next.seen.length, proxy.pool.countOf("d0")]).toEqual([1, 1, 1]);
    finish();
    expect((await streaming).text).toBe("data: 1\n\ndata: [DONE]\n\n");
    await expect.poll(() => proxy.pool.inFlight()).toEqual({});
  });

  test("an older generation, or the same number with other members, is refused", async () => {
    const { proxy, p } = await pair();
    expect(proxy.pool.replace({ generation: 0, members: [] })).toBe("stale");
    expect(proxy.pool.replace({ generation: 1, members: [p.member] })).toBe("stale");
    expect(proxy.pool.replace(proxy.pool.current())).toBe("accepted");
  });

  test("50 changes under load fail no request", async () => {
    const { p, d, proxy } = await pair();
    const others = [
      await extra("p1", "prefill", prefillAnswer()),
      await extra("d1", "decode", echoAnswer),
    ];
    let changing = true;
    const load = Array.from({ length: 8 }, async () => {
      const statuses: number[] = [];
      while (changing) statuses.push((await post(proxy.url, { prompt: "x" })).status);
      return statuses;
    });
    for (let change = 0; change < 50; change++) {
      proxy.point(change % 2 === 0 ? [p, ...others] : [p, d]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    changing = false;
    const statuses = (await Promise.all(load)).flat();
    expect(statuses.length).toBeGreaterThan(50);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  test("without a role, health and requests say which one is missing", async () => {
    const { p, proxy } = await pair();
    proxy.point([p]);
    const health = await request(`${proxy.url}/health`);
    expect(health.statusCode).toBe(503);
    expect(await health.body.json()).toEqual({
      status: "not ready",
      reason: "No decode replica is ready (1 prefill, 0 decode). See pdjob-client status.",
    });
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(503);
  });
});

test("other paths are 404 and name what is served", async () => {
  const { proxy } = await pair();
  const { status, text } = await post(proxy.url, {}, {}, "/collective_rpc");
  expect([status, JSON.parse(text).error.message]).toEqual([
    404,
    "POST /collective_rpc is not served here. Served: POST /v1/completions, POST /v1/chat/completions, GET /v1/models, GET /health, GET /metrics.",
  ]);
});

test("metrics count outcomes and members", async () => {
  const { proxy } = await pair();
  await post(proxy.url, { prompt: "x" });
  const text = await (await request(`${proxy.url}/metrics`)).body.text();
  expect(text).toContain('pdjob_proxy_requests_total{outcome="served"} 1');
  expect(text).toContain('pdjob_proxy_members{role="decode"} 1');
});
