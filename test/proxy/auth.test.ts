import { createHash } from "node:crypto";
import { request } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { accessOf, readKeys } from "../../src/proxy/admission/auth.ts";
import { createScene, echoAnswer, messageOf, post, prefillAnswer } from "./rig.ts";

const { pair, stop } = createScene();
afterEach(stop);

const digest = (key: string): Buffer => createHash("sha256").update(key).digest();
const keys = { inference: ["one", "zwölf"].map(digest), admin: [digest("root")] };

test.each([
  [undefined, "missing", "missing"],
  ["", "missing", "missing"],
  ["Bearer", "missing", "missing"],
  ["Bearer ", "missing", "missing"],
  ["Basic b25l", "missing", "missing"],
  ["one", "missing", "missing"],
  ["Bearer one", "granted", "too little"],
  ["bearer  one ", "granted", "too little"],
  ["Bearer one two", "unknown", "unknown"],
  ["Bearer ONE", "unknown", "unknown"],
  ["Bearer on", "unknown", "unknown"],
  // As Node hands on what a client sent as UTF-8.
  [`Bearer ${Buffer.from("zwölf").toString("latin1")}`, "granted", "too little"],
  ["Bearer root", "granted", "granted"],
] as const)(
  "Authorization: %s is %s for inference, and %s for admin",
  (header, inference, admin) => {
    expect(accessOf(keys, header, "inference")).toBe(inference);
    expect(accessOf(keys, header, "admin")).toBe(admin);
    expect(accessOf(keys, header, "open")).toBe("granted");
  },
);

test("a scope without keys is open to nobody", () => {
  const none = { inference: [digest("one")], admin: [] };
  expect(accessOf(none, "Bearer one", "admin")).toBe("too little");
  expect(accessOf({ inference: [], admin: [] }, "Bearer ", "inference")).toBe("missing");
});

test.each([
  ["no JSON", "one"],
  ["no digests", '{"inference":["one"],"admin":[],"engines":{}}'],
  ["a scope missing", `{"inference":[],"engines":{}}`],
  ["no engines", `{"inference":[],"admin":[]}`],
])("keys that cannot be read are no keys, and no proxy starts: %s", (_, text) => {
  expect(() => readKeys(text)).toThrow(
    "PDJOB_PROXY_KEYS holds no keys as the orchestrator gives them",
  );
});

describe("a proxy with keys", () => {
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const get = async (url: string, headers: Record<string, string> = {}) => {
    const answer = await request(url, { headers });
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  };
  const scene = (engineKeys = {}) => pair(prefillAnswer(), echoAnswer, { keys, engineKeys });

  test("asks for one before anything else, as OpenAI does", async () => {
    const { p, proxy } = await scene();
    const missing = await post(proxy.url, "no JSON");
    expect([missing.status, missing.headers["www-authenticate"]]).toEqual([401, "Bearer"]);
    expect(JSON.parse(missing.text)).toEqual({
      error: {
        message: "No API key was sent: send one as the header Authorization: Bearer KEY.",
        type: "invalid_request_error",
        param: null,
        code: "invalid_api_key",
      },
    });
    const wrong = await post(proxy.url, { prompt: "x" }, bearer("two"));
    expect([wrong.status, messageOf(wrong)]).toEqual([
      401,
      "The API key is not one of this proxy's.",
    ]);
    expect([p.seen, proxy.logs]).toEqual([[], []]);
    expect(proxy.metrics.totals()).toMatchObject({ denied: 2 });
  });

  test("serves completions and models to both kinds of keys, metrics to admin's, health to all", async () => {
    const { proxy } = await scene();
    const statuses = async (headers: Record<string, string>) => [
      (await post(proxy.url, { prompt: "x" }, headers)).status,
      (await get(`${proxy.url}/v1/models`, headers)).status,
      (await get(`${proxy.url}/metrics`, headers)).status,
      (await get(`${proxy.url}/health`, headers)).status,
    ];
    expect(await statuses({})).toEqual([401, 401, 401, 200]);
    expect(await statuses(bearer("one"))).toEqual([200, 200, 403, 200]);
    expect(await statuses(bearer("root"))).toEqual([200, 200, 200, 200]);
    expect(messageOf(await get(`${proxy.url}/metrics`, bearer("one")))).toContain(
      "scheduler.auth.admin",
    );
  });

  test("tells who is missing to those who may use it", async () => {
    const { p, proxy } = await scene();
    proxy.point([p]);
    const reasonOf = async (headers: Record<string, string>) =>
      JSON.parse((await get(`${proxy.url}/health`, headers)).text) as object;
    expect(await reasonOf({})).toEqual({ status: "not ready" });
    expect(await reasonOf(bearer("one"))).toMatchObject({
      reason: "No decode replica is ready (1 prefill, 0 decode). See pdjob-client status.",
    });
  });

  test("keeps clients' keys from engines, and gives each role its own", async () => {
    const { p, d, proxy } = await scene({ decode: "engine's own" });
    await post(proxy.url, { prompt: "x" }, { ...bearer("one"), "x-data-parallel-rank": "7" });
    await get(`${proxy.url}/v1/models`, bearer("one"));
    const seen = [...p.seen, ...d.seen].map(({ headers }) => headers["authorization"]);
    expect(seen).toEqual([undefined, "Bearer engine's own", "Bearer engine's own"]);
    expect(d.seen[0]?.headers).not.toHaveProperty("x-data-parallel-rank");
  });
});

test("without keys of its own, the proxy hands a client's to the engines, which may want it", async () => {
  const { p, d, proxy } = await pair();
  await post(proxy.url, { prompt: "x" }, { authorization: "Bearer theirs" });
  const seen = [...p.seen, ...d.seen].map(({ headers }) => headers["authorization"]);
  expect(seen).toEqual(["Bearer theirs", "Bearer theirs"]);
});
