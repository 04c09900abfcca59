import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { request } from "undici";
import { afterEach, describe, expect, test, vi } from "vitest";
import { defaultProxyLimits } from "../../src/domain/exposure.ts";
import type { ProxyLimits } from "../../src/domain/exposure.ts";
import { Gone } from "../../src/proxy/answer/gone.ts";
import { defaultServerLimits, limitFlags, readLimits } from "../../src/proxy/admission/limits.ts";
import type { ServerLimits } from "../../src/proxy/admission/limits.ts";
import { createPool } from "../../src/proxy/members/membership.ts";
import { createProxyMetrics } from "../../src/proxy/metrics.ts";
import { createWaiting, whyNotWait } from "../../src/proxy/admission/waiting.ts";
import { renderProxy } from "../../src/render/proxy.ts";
import { makeSpec } from "../support/spec.ts";
import { rawTo } from "./raw.ts";
import { createScene, echoAnswer, messageOf, metricsOf, post, prefillAnswer } from "./rig.ts";

const { pair, engine, stop } = createScene();
afterEach(() => {
  vi.useRealTimers();
  stop();
});

test.each([
  [{ count: 0, leftMs: 1, isClosed: false }, undefined],
  [{ count: 1, leftMs: 1, isClosed: false }, undefined],
  [{ count: 2, leftMs: 1, isClosed: false }, "full"],
  [{ count: 2, leftMs: 0, isClosed: false }, "late"],
  [{ count: 2, leftMs: 0, isClosed: true }, "closed"],
] as const)("with room for 2, %o does not wait because: %s", (state, why) => {
  expect(whyNotWait({ countMax: 2, waitMs: 5 }, state)).toBe(why);
});

describe("the program's limits", () => {
  const builtin = { port: 8021, membership: "builtin" } as const;
  const wordsOf = (limits: ProxyLimits) =>
    renderProxy(makeSpec({ scheduler: { ...builtin, limits } }), []).argv.slice(8);
  const read = (args: readonly string[]): ServerLimits =>
    readLimits(parseArgs({ args: [...args], options: limitFlags }).values);

  test("are those of the config, and take no words where they are the default", () => {
    expect(wordsOf(defaultProxyLimits)).toEqual([]);
    expect(read([])).toEqual(defaultServerLimits);
    const { bodyMibMax, memoryMibMax, requestsMax, waitingMax, waitS } = defaultProxyLimits;
    expect(read([])).toMatchObject({
      bodyBytesMax: bodyMibMax * 1024 * 1024,
      memoryBytesMax: memoryMibMax * 1024 * 1024,
      concurrentMax: requestsMax,
      waiting: { countMax: waitingMax, waitMs: waitS * 1_000 },
    });
  });

  test("are what the config says", () => {
    const more = { requestsMax: 3, waitingMax: 0, waitS: 4 };
    const words = wordsOf({ bodyMibMax: 2, memoryMibMax: 5, ...more });
    expect(read(words)).toEqual({
      ...defaultServerLimits,
      bodyBytesMax: 2_097_152,
      memoryBytesMax: 5_242_880,
      concurrentMax: 3,
      waiting: { countMax: 0, waitMs: 4_000 },
    });
  });

  test("are numbers", () => {
    expect(() => read(["--max-wait", "1e3"])).toThrow("--max-wait is a whole number, not 1e3");
  });
});

describe("requests that wait", () => {
  const scene = (countMax: number, waitMs: number) => {
    const pool = createPool();
    const metrics = createProxyMetrics(pool);
    return { pool, metrics, waiting: createWaiting({ countMax, waitMs }, { pool, metrics }) };
  };
  const member = (name: string) => ({ name, role: "decode" as const, url: "http://h:1" });
  const gone = new Gone();

  test("go on in the order in which they came, at each change of the members", async () => {
    const { pool, waiting } = scene(10, 60_000);
    const went: string[] = [];
    const go = async (name: string) => {
      const wait = waiting.forRequest(gone);
      // Nobody is for them yet at the first change.
      for (const time of ["first", "second"]) went.push(`${name} ${time} ${await wait()}`);
    };
    const all = ["a", "b", "c"].map(go);
    pool.replace({ generation: 1, members: [member("d0")] });
    await sleep(1);
    pool.replace({ generation: 2, members: [member("d0")] }); // The same: no change.
    await sleep(1);
    expect(went).toEqual(["a first ready", "b first ready", "c first ready"]);
    pool.replace({ generation: 3, members: [] });
    await Promise.all(all);
    expect(went.slice(3)).toEqual(["a second ready", "b second ready", "c second ready"]);
  });

  test("have one time for all their waits", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const { pool, waiting } = scene(1, 1_000);
    const wait = waiting.forRequest(gone);
    const first = wait();
    await vi.advanceTimersByTimeAsync(600);
    pool.replace({ generation: 1, members: [member("d0")] });
    expect(await first).toBe("ready");
    let second: string | undefined;
    void wait().then((end) => (second = end));
    await vi.advanceTimersByTimeAsync(399);
    expect(second).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(second).toBe("late");
    expect(await wait()).toBe("late");
  });

  test("leave room when their client leaves", async () => {
    const { waiting, metrics } = scene(1, 60_000);
    const client = new Gone();
    const left = waiting.forRequest(client)();
    expect(await waiting.forRequest(gone)()).toBe("full");
    client.end(new Error("left"));
    expect(await left).toBe("gone");
    const next = waiting.forRequest(gone)();
    expect(metrics.render()).toContain("pdjob_proxy_waiting 1\n");
    waiting.close();
    expect([await next, await waiting.forRequest(gone)()]).toEqual(["closed", "closed"]);
    expect(metrics.render()).toContain(
      [
        "pdjob_proxy_waiting 0",
        "# TYPE pdjob_proxy_waits_total counter",
        'pdjob_proxy_waits_total{end="full"} 1',
        'pdjob_proxy_waits_total{end="gone"} 1',
        'pdjob_proxy_waits_total{end="closed"} 2',
      ].join("\n"),
    );
  });
});

describe("a proxy without a pair", () => {
  const waiting = { countMax: 2, waitMs: 60_000 };
  const nobody = "No decode replica is ready (1 prefill, 0 decode). See pdjob-client status.";
  const poor = async (limits = waiting) => {
    const { p, d, proxy } = await pair(prefillAnswer(), echoAnswer, {
      server: { waiting: limits },
    });
    proxy.point([p]);
    const waits = async (count: number) =>
      expect.poll(() => metricsOf(proxy.url)).toContain(`pdjob_proxy_waiting ${count}\n`);
    return { p, d, proxy, waits };
  };

  test("serves those that wait once there is one, several prompts of one request, too", async () => {
    const { p, d, proxy, waits } = await poor();
    const asked = [post(proxy.url, { prompt: "a" }), post(proxy.url, { prompt: ["b"] })];
    await waits(2);
    const other = await engine("p1", "prefill", prefillAnswer());
    proxy.point([p, other]); // No decode yet.
    await waits(2);
    proxy.point([p, d]);
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200]);
    await waits(0);
    expect(d.seen).toHaveLength(2);
  });

  test("refuses one more than may wait, and says when to come back", async () => {
    const { d, p, proxy, waits } = await poor();
    const asked = [1, 2].map(() => post(proxy.url, { prompt: "x" }));
    await waits(2);
    const refused = await post(proxy.url, { prompt: "x" });
    expect([refused.status, refused.headers["retry-after"], messageOf(refused)]).toEqual([
      503,
      "1",
      `${nobody} Too many other requests wait for it already.`,
    ]);
    proxy.point([p, d]);
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test("refuses whoever has waited for its time", async () => {
    const { proxy } = await poor({ countMax: 2, waitMs: 50 });
    const refused = await post(proxy.url, { prompt: "x" });
    expect([refused.status, refused.headers["retry-after"], messageOf(refused)]).toEqual([
      503,
      "1",
      nobody,
    ]);
    expect(proxy.metrics.totals()).toMatchObject({ no_member: 1 });
  });

  test("forgets clients that leave", async () => {
    const { proxy, waits } = await poor();
    const client = rawTo(proxy.url);
    client.socket.write(
      'POST /v1/completions HTTP/1.1\r\nHost: p\r\nContent-Length: 14\r\n\r\n{"prompt":"x"}',
    );
    await waits(1);
    client.socket.destroy();
    await waits(0);
    expect(proxy.metrics.totals()).toMatchObject({ client_gone: 1 });
  });

  test("lets nobody wait once the job stops, and says so, until it has members again", async () => {
    const { p, d, proxy, waits } = await poor();
    const asked = post(proxy.url, { prompt: "x" });
    await waits(1);
    proxy.pool.replace({ generation: 100, members: [], closing: true });
    const said = { status: 503, message: "The job is stopping." };
    const was = await asked;
    expect({ status: was.status, message: messageOf(was) }).toEqual(said);
    const next = await post(proxy.url, { prompt: "x" });
    expect({ status: next.status, message: messageOf(next) }).toEqual(said);
    expect(next.headers["connection"]).toBe("close");
    const health = await request(`${proxy.url}/health`);
    expect(await health.body.json()).toEqual({ status: "not ready", reason: said.message });
    proxy.pool.replace({ generation: 101, members: [p.member, d.member] });
    expect((await post(proxy.url, { prompt: "x" })).status).toBe(200);
  });

  test("is told that the job stops when it had no members before, too", async () => {
    const { proxy, waits } = await poor();
    proxy.pool.replace({ generation: 99, members: [] });
    const asked = post(proxy.url, { prompt: "x" });
    await waits(1);
    proxy.pool.replace({ generation: 100, members: [], closing: true });
    expect(messageOf(await asked)).toBe("The job is stopping.");
  });

  test("that stops lets nobody wait", async () => {
    const { proxy, waits } = await poor();
    const asked = post(proxy.url, { prompt: "x" });
    await waits(1);
    const stopped = proxy.shutDown(60_000);
    const refused = await asked;
    expect([refused.status, messageOf(refused)]).toEqual([
      503,
      `${nobody} This proxy waits for nobody any more: ask again.`,
    ]);
    await stopped;
  });
});
