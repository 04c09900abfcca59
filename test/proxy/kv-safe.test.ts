import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { createScene, echoAnswer, event, json, post, prefillAnswer, sse } from "./rig.ts";
import type { Answer, FakeEngine } from "./rig.ts";

/*
 * One decode request with stale or foreign `kv_transfer_params` kills a real vLLM decode engine, and every request after
 * it. So whatever fails in whatever order: parameters are used once, by the request that they were made for.
 */
const { engine, pair, stop } = createScene();
afterEach(stop);

const paramsOf = ({ seen }: FakeEngine): readonly unknown[] =>
  seen.map(({ body }) => body["kv_transfer_params"]);

describe("what a client says about KV", () => {
  const stale = { do_remote_prefill: true, remote_request_id: "stale", remote_block_ids: [[1]] };

  test.each<[string, object, string]>([
    ["to a prompt", { prompt: "x" }, "/v1/completions"],
    ["to a stream", { prompt: "x", stream: true }, "/v1/completions"],
    ["to a chat", { messages: [{ role: "user", content: "x" }] }, "/v1/chat/completions"],
    ["to several prompts", { prompt: ["x", "y"] }, "/v1/completions"],
    ["to several streamed prompts", { prompt: ["x", "y"], stream: true }, "/v1/completions"],
    ["to several choices", { prompt: "x", n: 2 }, "/v1/completions"],
  ])("%s reaches no engine", async (_name, body, path) => {
    for (const handOver of ["params", "store"] as const)
      for (const withoutPrefill of ["fail", "decode-local"] as const) {
        const options = { handOver, selection: { withoutPrefill } };
        const { p, d, proxy } = await pair(
          prefillAnswer({ remote_request_id: "own" }),
          echoAnswer,
          options,
        );
        if (withoutPrefill === "decode-local") proxy.point([d]);
        const answer = await post(proxy.url, { kv_transfer_params: stale, ...body }, {}, path);
        expect(answer.status).toBe(200);
        expect(d.seen.length).toBeGreaterThan(0);
        expect(JSON.stringify([p.seen, d.seen])).not.toContain("stale");
      }
  });

  test.each([
    '{"prompt":"x","kv_transfer_params":{"remote_request_id":"stale"},"kv_transfer_params":{"remote_request_id":"stale"}}',
    '{"prompt":"x","kv\\u005ftransfer_params":{"remote_request_id":"stale"}}',
    '{"kv_transfer_params" : {"remote_request_id":"stale"} , "prompt":"x"}',
  ])("in the spelling %s neither", async (body) => {
    const { p, d, proxy } = await pair(prefillAnswer({ remote_request_id: "own" }));
    expect((await post(proxy.url, body)).status).toBe(200);
    expect(JSON.stringify(p.seen)).not.toContain("stale");
    expect(paramsOf(d)).toEqual([{ remote_request_id: "own" }]);
  });
});

type Fault = "none" | "error" | "asleep" | "drop" | "abort" | "lost" | "cut" | "no_kv";
const faults: readonly Fault[] = [
  "none",
  "error",
  "asleep",
  "drop",
  "abort",
  "lost",
  "cut",
  "no_kv",
];

/** Engines that fail as they are told, each request in its own way, and number the KV that they keep. */
async function faulty(script: readonly Fault[]) {
  const left = [...script];
  const kept: string[] = [];
  const lost = new Set<string>();
  const begun: string[] = [];

  const answer =
    (name: string, self: () => FakeEngine | undefined, well: Answer): Answer =>
    (request, response) => {
      const fault = left.shift() ?? "none";
      if (fault === "error") return json(response, 500, { error: { message: "no" } });
      if (fault === "asleep") return json(response, 503, {});
      if (fault === "abort") return json(response, 200, { choices: [{ finish_reason: "abort" }] });
      if (fault === "drop") return void response.destroy();
      if (fault === "lost") {
        lost.add(name);
        self()?.die();
        return void response.destroy();
      }
      if (fault === "no_kv" && name.startsWith("p")) return json(response, 200, { choices: [] });
      if (name.startsWith("d")) begun.push(name);
      if (fault === "cut" && request.body["stream"]) {
        sse(response, event("a"));
        return void setImmediate(() => response.destroy());
      }
      well(request, response);
    };
  const keep: Answer = (_, response) => {
    const id = `kv-${kept.length}`;
    kept.push(id);
    json(response, 200, { choices: [], kv_transfer_params: { id } });
  };
  const finish: Answer = ({ body }, response) => {
    if (!body["stream"])
      return json(response, 200, { choices: [{ text: "a", finish_reason: "stop" }] });
    sse(response, event("a"));
    response.end(`${event("", "stop")}data: [DONE]\n\n`);
  };
  const engines: FakeEngine[] = [];
  for (const [name, role, well] of [
    ["p0", "prefill", keep],
    ["p1", "prefill", keep],
    ["d0", "decode", finish],
    ["d1", "decode", finish],
    ["d2", "decode", finish],
  ] as const) {
    const at = engines.length;
    engines.push(
      await engine(
        name,
        role,
        answer(name, () => engines[at], well),
      ),
    );
  }
  return { engines, kept, lost, begun };
}

test("whatever fails, in whatever order: KV is used once, nobody is asked after the first token, two engines end at most", async () => {
  const scripts = fc.array(fc.constantFrom(...faults), { maxLength: 7 });
  await fc.assert(
    fc.asyncProperty(scripts, fc.boolean(), fc.boolean(), async (script, stream, isLocal) => {
      const { engines, kept, lost, begun } = await faulty(script);
      const withoutPrefill = isLocal ? "decode-local" : "fail";
      const { proxy } = await pair(prefillAnswer(), echoAnswer, { selection: { withoutPrefill } });
      proxy.point(engines);
      const { status, text } = await post(proxy.url, {
        prompt: "x",
        ...(stream ? { stream } : {}),
      });
      const [prefills, decodes] = (["prefill", "decode"] as const).map((role) =>
        engines.filter(({ member }) => member.role === role),
      );
      const used = (decodes ?? []).flatMap(paramsOf).filter((params) => params !== undefined);
      const ids = used.map((params) => (params as { id: string }).id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.every((id) => kept.includes(id))).toBe(true);
      for (const legs of [prefills, decodes])
        expect((legs ?? []).flatMap(({ seen }) => seen).length).toBeLessThanOrEqual(3);
      expect(lost.size).toBeLessThanOrEqual(2);
      expect(begun.length).toBeLessThanOrEqual(1);
      // A whole answer, an error of ours, or a stream that says that it broke: never a silent end.
      const isWhole = text.includes(stream ? "[DONE]" : '"finish_reason":"stop"');
      expect(isWhole || text.includes('"error"')).toBe(true);
      expect(status === 200).toBe(begun.length === 1);
      stop();
    }),
    { numRuns: 60 },
  );
}, 120_000);
