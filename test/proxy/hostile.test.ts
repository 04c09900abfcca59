import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { corpus } from "./hostile-corpus.ts";
import { sendRaw } from "./raw.ts";
import { createScene, post } from "./rig.ts";

const { pair, stop } = createScene();
let scene: Awaited<ReturnType<typeof pair>>;
beforeAll(async () => void (scene = await pair()));
afterAll(stop);

describe("bytes over a bare connection", () => {
  test.each(corpus)("$name", async ({ bytes, answers, reaching = 0 }) => {
    const { p, d, proxy } = scene;
    p.seen.splice(0);
    d.seen.splice(0);
    expect(await sendRaw(proxy.url, bytes)).toEqual(answers);
    expect([p.seen, d.seen].map(({ length }) => length)).toEqual([reaching, reaching]);
    for (const { path, headers, body } of [...p.seen, ...d.seen]) {
      expect([path, body["prompt"]]).toEqual(["/v1/completions", "x"]);
      expect(headers).not.toHaveProperty("x-smuggled");
      expect(headers["x-request-id"]).toMatch(/^[\w.-]+$/);
    }
  });

  test("and the proxy serves afterwards, without a word in its log", async () => {
    expect((await post(scene.proxy.url, { prompt: "x" })).status).toBe(200);
    expect(scene.proxy.logs).toEqual([]);
  });
});
