import { afterEach, describe, expect, test } from "vitest";
import { judge } from "../../src/proxy/attempt/retry.ts";
import type { FailedLeg } from "../../src/proxy/attempt/retry.ts";
import { eventually } from "../support/eventually.ts";
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
import type { Answer, FakeEngine } from "./rig.ts";

const { engine, pair, stop } = createScene();
afterEach(stop);

const first = { count: 1, enginesLost: 0 };
const again = { kind: "again", enginesLost: 0, sameDecode: false };

test.each<[string, "prefill" | "decode", FailedLeg, object]>([
  ["a refused request is as good as new", "decode", { how: "refused" }, again],
  ["so is one that an engine declined", "decode", { how: "unavailable" }, again],
  ["so is one that a draining engine aborted", "prefill", { how: "aborted" }, again],
  ["a prefill that failed and lives", "prefill", { how: "failed", alive: true }, again],
  [
    "a decode that failed and lives is asked again, and no other",
    "decode",
    { how: "failed", alive: true },
    { ...again, sameDecode: true },
  ],
  [
    "a decode that died of its answer",
    "decode",
    { how: "failed", alive: false },
    { kind: "withheld" },
  ],
  [
    "an engine that is gone counts",
    "decode",
    { how: "dropped", alive: false },
    { ...again, enginesLost: 1 },
  ],
  ["time that is over is over", "prefill", { how: "late" }, { kind: "late" }],
])("%s", (_name, role, leg, verdict) => {
  expect(judge(role, leg, first)).toEqual(verdict);
});

test("the second engine that a request may have ended is the last, and so is the third pair", () => {
  const gone: FailedLeg = { how: "dropped", alive: false };
  expect(judge("prefill", gone, { count: 2, enginesLost: 1 })).toEqual({ kind: "withheld" });
  expect(judge("prefill", { how: "unavailable" }, { count: 3, enginesLost: 0 })).toEqual({
    kind: "exhausted",
  });
  expect(judge("prefill", { how: "refused" }, { count: 3, enginesLost: 0 })).toEqual(again);
});

/** Decode engines that all do the same to a request. */
async function fleet(size: number, answer: (self: () => FakeEngine | undefined) => Answer) {
  const scene = await pair();
  const decodes: FakeEngine[] = [];
  for (let index = 0; index < size; index++)
    decodes.push(
      await engine(
        `d${index}`,
        "decode",
        answer(() => decodes[index]),
      ),
    );
  scene.proxy.point([scene.p, ...decodes]);
  const asked = () => decodes.filter(({ seen }) => seen.length > 0).length;
  return { ...scene, decodes, asked };
}

describe("a request that ends the engine that serves it", () => {
  test("ends one decode that says so, and no other", async () => {
    const { proxy, asked } = await fleet(4, (self) => (_, response) => {
      self()?.die();
      json(response, 500, { error: { message: "EngineCore encountered an issue" } });
    });
    const answer = await post(proxy.url, { prompt: "x" });
    expect([answer.status, asked()]).toEqual([502, 1]);
    expect(messageOf(answer)).toMatch(
      /^The request may be what ended an engine, so it is not tried on another: d\d answered 500: .*EngineCore/,
    );
    expect(await metricsOf(proxy.url)).toContain(
      'pdjob_proxy_requests_total{outcome="withheld"} 1',
    );
  });

  test("is told from the first event of a stream as well", async () => {
    const { proxy, asked } = await fleet(4, (self) => (_, response) => {
      self()?.die();
      sse(response, 'data: {"error":{"message":"EngineCore died","code":500}}\n\n');
      response.end("data: [DONE]\n\n");
    });
    const answer = await post(proxy.url, { prompt: "x", stream: true });
    expect([answer.status, asked()]).toEqual([502, 1]);
    expect(messageOf(answer)).toMatch(/: d\d answered 500: EngineCore died$/);
  });

  test("ends no more than two that vanish without a word", async () => {
    const { proxy, asked } = await fleet(4, (self) => (_, response) => {
      self()?.die();
      response.destroy();
    });
    const answer = await post(proxy.url, { prompt: "x" });
    expect([answer.status, asked()]).toEqual([502, 2]);
  });
});

test("a decode that could not load the KV, and lives, is asked again with a fresh prefill", async () => {
  let failures = 1;
  const { p, proxy, decodes } = await fleet(3, () => (request, response) => {
    if (failures-- > 0) json(response, 500, { error: { message: "KV load failed" } });
    else echoAnswer(request, response);
  });
  const other = await engine("p1", "prefill", prefillAnswer({ remote_request_id: "fresh" }));
  proxy.point([p, other, ...decodes]);
  const { status, text } = await post(proxy.url, { prompt: "x" });
  expect(status).toBe(200);
  const [used] = decodes.filter(({ seen }) => seen.length > 0);
  expect(used?.seen).toHaveLength(2);
  expect(JSON.parse(text).body.kv_transfer_params).toEqual(
    used?.seen[1]?.body["kv_transfer_params"],
  );
  expect(p.seen.length + other.seen.length).toBe(2);
});

test("a later try has a request id of its own: engines key KV by it", async () => {
  let failures = 1;
  const { d, p, proxy } = await pair(prefillAnswer(), (request, response) => {
    if (failures-- > 0) json(response, 503, {});
    else echoAnswer(request, response);
  });
  expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  const ids = [...p.seen, ...d.seen].map(({ headers }) => headers["x-request-id"]);
  expect(new Set(ids)).toEqual(new Set([ids[0], `${String(ids[0])}-2`]));
});

describe("a request that every engine refuses", () => {
  const waiting = { countMax: 5, waitMs: 10_000 };

  test("waits for other members, and is served by those", async () => {
    const { p, d, proxy } = await pair(prefillAnswer(), echoAnswer, { server: { waiting } });
    d.close();
    const answer = post(proxy.url, { prompt: "x" });
    await eventually("it waits", async () =>
      (await metricsOf(proxy.url)).includes("pdjob_proxy_waiting 1"),
    );
    const successor = await engine("d0", "decode", echoAnswer);
    proxy.point([p, successor]);
    expect([(await answer).status, successor.seen.length]).toEqual([200, 1]);
  });

  test("says who refused it once its time is over", async () => {
    const server = { waiting: { ...waiting, waitMs: 300 } };
    const { d, proxy } = await pair(prefillAnswer(), echoAnswer, { server });
    d.close();
    const answer = await post(proxy.url, { prompt: "x" });
    expect(answer.status).toBe(502);
    expect(messageOf(answer)).toMatch(
      /^No prefill\/decode pair could serve the request; the last attempt: d0 cannot be reached: /,
    );
  });

  test("asks those first who have not refused it, however many there are", async () => {
    const { decodes, proxy } = await fleet(6, () => echoAnswer);
    for (const one of decodes.slice(0, 5)) one.close();
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  });
});

describe("an engine that is given all its time", () => {
  const silent: Answer = () => undefined;

  test.each<[string, Answer, Answer, object]>([
    ["in prefill", silent, echoAnswer, {}],
    ["in a whole answer", prefillAnswer(), silent, {}],
    ["before a stream", prefillAnswer(), silent, { stream: true }],
    [
      "before the first event",
      prefillAnswer(),
      (_, response) => sse(response, ": keep-alive\n\n"),
      { stream: true },
    ],
  ])("%s ends its request, which nobody else is asked", async (_name, prefill, decode, more) => {
    const { p, d, proxy } = await pair(prefill, decode, {
      legs: { prefillTimeoutMs: 600, firstEventTimeoutMs: 600, wholeAnswerTimeoutMs: 600 },
    });
    const spares = [await engine("p1", "prefill", prefill), await engine("d1", "decode", decode)];
    proxy.point([p, d, ...spares]);
    const answer = await post(proxy.url, { prompt: "x", ...more });
    expect(answer.status).toBe(504);
    expect(messageOf(answer)).toMatch(/^The request took too long and is not tried again: [pd]\d /);
    const legs = [p, d, ...spares].reduce((sum, { seen }) => sum + seen.length, 0);
    expect(legs).toBe(prefill === silent ? 1 : 2);
  });

  test("is bounded by the whole answer's limit only when nothing is streamed", async () => {
    const { proxy } = await pair(
      prefillAnswer(),
      (request, response) => void setTimeout(() => echoAnswer(request, response), 1_300),
      { legs: { firstEventTimeoutMs: 300, prefillTimeoutMs: 300, idleTimeoutMs: 300 } },
    );
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  });

  test("ends a stream that has begun with an error event", async () => {
    const { proxy } = await pair(prefillAnswer(), (_, response) => sse(response, event("a")), {
      legs: { idleTimeoutMs: 200 },
    });
    const { text } = await post(proxy.url, { prompt: "x", stream: true });
    expect(text).toContain("d0 failed in the middle of the answer: sent nothing for 0.2 s");
    expect(await metricsOf(proxy.url)).toContain('outcome="broken"} 1');
  });
});
