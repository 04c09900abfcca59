import { afterEach, describe, expect, test } from "vitest";
import { membersMax, scanObject } from "../../src/proxy/bytes/json.ts";
import type { JsonObject } from "../../src/proxy/bytes/json.ts";
import { wayOf } from "../../src/proxy/bytes/prompts.ts";
import { createScene, echoAnswer, json, messageOf, metricsOf, post } from "./rig.ts";
import type { Answer } from "./rig.ts";

const { pair, stop } = createScene();
afterEach(stop);

const prompt = Array.from({ length: 20 }, (_, index) => `p${index}`);
/** Of which each prompt's own has nearly everything. */
const body = { user: "x".repeat(1_000), prompt };
const bytes = JSON.stringify(body).length;

/** Answers when it is told to, and knows how many have waited for it at once. */
function held() {
  const waiting: (() => void)[] = [];
  let most = 0;
  const answer: Answer = (_, response) => {
    most = Math.max(
      most,
      waiting.push(() => json(response, 200, { kv_transfer_params: {} })),
    );
  };
  return {
    answer,
    most: () => most,
    count: () => waiting.length,
    release: () => waiting.splice(0).forEach((go) => go()),
  };
}

describe("the bodies of several prompts", () => {
  const scan = (value: object): JsonObject => {
    const object = scanObject(Buffer.from(JSON.stringify(value)));
    if (!object) throw new Error("not an object");
    return object;
  };

  test("are made one by one, and none is larger than was said", () => {
    const way = wayOf("/v1/completions", scan(body), "params");
    if (way.kind !== "split") throw new Error(way.kind);
    const [piece] = way.pieces;
    expect(piece?.body().bytes).not.toBe(piece?.body().bytes);
    for (const [index, one] of way.pieces.entries()) {
      const made = one.body().bytes;
      expect(JSON.parse(made.toString())).toEqual({ ...body, prompt: `p${index}` });
      expect(made.length).toBeLessThanOrEqual(one.bytes);
      expect(one.bytes).toBeLessThan(bytes);
    }
  });

  test("have their place beside those of requests, eight at a time", async () => {
    const { answer, most, count, release } = held();
    const { proxy } = await pair(answer, echoAnswer);
    const asked = post(proxy.url, body);
    await expect.poll(count).toBe(8);
    const held8 = Number(/body_bytes (\d+)/.exec(await metricsOf(proxy.url))?.[1]);
    expect(held8).toBeGreaterThan(8 * 1_000 + bytes);
    expect(held8).toBeLessThan(9 * bytes);
    const timer = setInterval(release, 5);
    expect((await asked).status).toBe(200);
    clearInterval(timer);
    expect(most()).toBe(8);
    await expect.poll(() => metricsOf(proxy.url)).toContain("pdjob_proxy_body_bytes 0\n");
  });

  test("are fewer at a time where memory is short, and all are answered", async () => {
    const { answer, most, count, release } = held();
    const server = { memoryBytesMax: 4 * bytes };
    const { p, proxy } = await pair(answer, echoAnswer, { server });
    const asked = post(proxy.url, body);
    await expect.poll(count).toBe(3);
    const timer = setInterval(release, 5);
    expect((await asked).status).toBe(200);
    clearInterval(timer);
    expect([p.seen.length, most()]).toEqual([prompt.length, 3]);
  });

  test("have no room: the request is refused, and asks nobody", async () => {
    const server = { memoryBytesMax: bytes + 500 };
    const { p, proxy } = await pair(held().answer, echoAnswer, { server });
    const refused = await post(proxy.url, body);
    expect([refused.status, refused.headers["retry-after"], messageOf(refused)]).toEqual([
      503,
      "1",
      `The bodies of all requests are more than ${bytes + 500} bytes: ask again, or raise scheduler.limits.max_memory_mib.`,
    ]);
    expect(p.seen).toEqual([]);
    expect(proxy.metrics.totals()).toMatchObject({ rejected: 1 });
    await expect.poll(() => metricsOf(proxy.url)).toContain("pdjob_proxy_body_bytes 0\n");
  });
});

describe("of a body with more keys than requests have", () => {
  const keys = (count: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, 0])));

  test("nothing is kept: it is refused", async () => {
    const { p, proxy } = await pair(held().answer);
    const refused = await post(proxy.url, keys(membersMax + 1));
    expect([refused.status, messageOf(refused)]).toEqual([
      400,
      "The request body is not a JSON object, or one of more than 256 keys.",
    ]);
    expect(p.seen).toEqual([]);
    expect(scanObject(Buffer.from(keys(membersMax)))?.members).toHaveLength(membersMax);
  });

  test("or of a key that is longer than those that are looked for, no text is kept", () => {
    const long = "k".repeat(100_000);
    const object = scanObject(Buffer.from(JSON.stringify({ [long]: 1, n: 2 })));
    expect(object?.members.map(({ key }) => key)).toEqual(["", "n"]);
  });
});
