import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Bed } from "./bed.ts";
import { call, chat, complete, eventsOf, ids, prefill, textOf } from "./calls.ts";
import type { Completion, Json } from "./calls.ts";
import { metric, promptTokensBy } from "./metrics-text.ts";
import { blockSize } from "./trio.ts";
import type { Trio } from "./trio.ts";

const max = { max_tokens: 6 };

/** Handing KV over by NIXL, as it goes and as it fails. */
export function kvCases(trio: () => Trio, bed: () => Bed): void {
  describe("a prefill answer", () => {
    test("says where the KV is, in these fields", async () => {
      const { prefill: engine, decode } = trio();
      const params = await prefill(engine, ids(40, 1));
      expect(params).toEqual({
        do_remote_prefill: true,
        do_remote_decode: false,
        remote_block_ids: [[expect.any(Number), expect.any(Number)]],
        remote_engine_id: expect.stringMatching(/^[0-9a-f]{8}-/),
        remote_request_id: expect.stringMatching(/^cmpl-[0-9a-f]{16}-0-[0-9a-f]{8}$/),
        remote_host: "127.0.0.1",
        remote_port: expect.any(Number),
        tp_size: 1,
        dcp_size: 1,
        pp_size: 1,
        remote_num_tokens: 40,
        remote_blocks_expiry_time: null,
        transfer_mode: "pull",
        remote_prefill_cached_tokens: 0,
      });
      await complete(decode, { prompt: ids(40, 1), kv_transfer_params: params });
    });

    test("counts what it generated, less the last token, whose KV is never made", async () => {
      const { prefill: engine, decode } = trio();
      const params = await prefill(engine, ids(40, 2), { max_tokens: 3 });
      expect(params["remote_num_tokens"]).toBe(42);
      expect(params).not.toHaveProperty("remote_prefill_cached_tokens");
      await complete(decode, { prompt: ids(40, 2), kv_transfer_params: params });
    });

    test("is given by a consumer as well: the role does not matter", async () => {
      const params = await prefill(trio().decode, ids(10, 3));
      expect(params).toMatchObject({ do_remote_prefill: true, remote_num_tokens: 10 });
    });

    test("of a chat names the request without an index", async () => {
      const asked = { max_tokens: 1, kv_transfer_params: { do_remote_decode: true } };
      const body = (await chat(trio().decode, asked)).json<Completion>();
      expect(body.kv_transfer_params?.["remote_request_id"]).toMatch(
        /^chatcmpl-[0-9a-f]{16}-[0-9a-f]{8}$/,
      );
    });

    test("does not come with a stream", async () => {
      const asked = { prompt: ids(10, 4), max_tokens: 1, stream: true };
      const kv = { kv_transfer_params: { do_remote_decode: true } };
      const { text } = await complete(trio().decode, { ...asked, ...kv });
      expect(text).not.toContain("kv_transfer_params");
    });

    test("has none unless it was asked to keep the KV", async () => {
      const answer = await complete(trio().prefill, { prompt: ids(10, 5), max_tokens: 1 });
      expect(answer.json<Completion>().kv_transfer_params).toBeNull();
    });
  });

  describe("a decode engine", () => {
    test("takes every prompt token's KV from there, computes none, and goes on as one engine would", async () => {
      const { prefill: engine, decode } = trio();
      const prompt = ids(70, 6);
      const whole = await textOf(engine, { prompt, ...max });
      const before = await sources(trio());
      const params = await prefill(engine, prompt);
      expect(await textOf(decode, { prompt, ...max, kv_transfer_params: params })).toBe(whole);
      const after = await sources(trio());
      expect([after.external - before.external, after.local - before.local]).toEqual([70, 0]);
      expect(after.p2p - before.p2p).toBe(70);
    });

    test("does so for a stream", async () => {
      const { prefill: engine, decode } = trio();
      const prompt = ids(33, 7);
      const whole = await textOf(engine, { prompt, ...max });
      const params = await prefill(engine, prompt);
      const answer = await complete(decode, {
        prompt,
        ...max,
        stream: true,
        kv_transfer_params: params,
      });
      const texts = eventsOf(answer.text)
        .slice(0, -1)
        .map((event) => JSON.parse(event).choices[0].text);
      expect(texts.join("")).toBe(whole);
    });

    test("does not notice that parameters were used before: it reads blocks that are free by then", async () => {
      const { prefill: engine, decode } = trio();
      const prompt = ids(20, 8);
      const params = await prefill(engine, prompt);
      const before = await metric(engine, late);
      await complete(decode, { prompt, ...max, kv_transfer_params: params });
      const again = await complete(decode, { prompt, ...max, kv_transfer_params: params });
      expect(again.status).toBe(200);
      await eventually(
        "the prefill engine counted a read of free blocks",
        async () => {
          // An engine that has nothing to do does not count either.
          await complete(engine, { prompt: ids(3, 15), max_tokens: 1 });
          return (await metric(engine, late)) === before + 1;
        },
        bed().patienceMs,
      );
    });

    test("does not notice that the parameters are another prompt's, and answers something else", async () => {
      const { prefill: engine, decode } = trio();
      const [theirs, mine] = [ids(30, 9), ids(30, 10)];
      const own = await textOf(engine, { prompt: mine, ...max });
      const params = await prefill(engine, theirs);
      const text = await textOf(decode, { prompt: mine, ...max, kv_transfer_params: params });
      expect(text).not.toBe(own);
    });

    test("answers 500 when nobody is there to be asked, and lives on", async () => {
      const { prefill: engine, decode } = trio();
      const prompt = ids(20, 11);
      const params = nowhere(await prefill(engine, prompt));
      const [failed, errors] = [await metric(decode, failures), await finished(decode, "error")];
      const answer = await complete(decode, { prompt, ...max, kv_transfer_params: params });
      expect([answer.status, answer.json()]).toEqual([
        500,
        {
          error: {
            message: "Internal server error",
            type: "InternalServerError",
            param: null,
            code: 500,
          },
        },
      ]);
      expect((await call(decode, "GET", "/health")).status).toBe(200);
      await eventually(
        "the failure is counted",
        async () =>
          (await metric(decode, failures)) === failed + 1 &&
          (await finished(decode, "error")) === errors + 1,
        bed().patienceMs,
      );
    });

    test("has sent 200 by then when the answer is a stream: the error is an event", async () => {
      const { prefill: engine, decode } = trio();
      const prompt = ids(20, 12);
      const params = nowhere(await prefill(engine, prompt));
      const answer = await complete(decode, {
        prompt,
        ...max,
        stream: true,
        kv_transfer_params: params,
      });
      expect(answer.status).toBe(200);
      const events = eventsOf(answer.text);
      expect(events).toHaveLength(2);
      expect(JSON.parse(events[0] ?? "")).toMatchObject({
        error: { message: "Internal server error", code: 500 },
      });
      expect(events[1]).toBe("[DONE]");
    });
  });

  test("KV that nobody fetches is freed after its lease, counted, and still read", async () => {
    const { prefill: engine, decode } = trio();
    const prompt = ids(20, 13);
    const before = await metric(engine, expired);
    const params = await prefill(engine, prompt);
    await eventually(
      "the lease has expired",
      async () => (await metric(engine, expired)) > before,
      bed().leaseS * 1_000 + bed().patienceMs,
    );
    const answer = await complete(decode, { prompt, ...max, kv_transfer_params: params });
    expect(answer.status).toBe(200);
  });

  test(`a block holds ${blockSize} tokens`, async () => {
    const { prefill: engine, decode } = trio();
    for (const [tokens, blocks] of [
      [blockSize, 1],
      [blockSize + 1, 2],
    ] as const) {
      const params = await prefill(engine, ids(tokens, 14));
      expect((params["remote_block_ids"] as readonly unknown[][])[0]).toHaveLength(blocks);
      await complete(decode, { prompt: ids(tokens, 14), kv_transfer_params: params });
    }
  });
}

const late = "vllm:nixl_num_notifications_after_expiry_total";
const failures = "vllm:nixl_num_failed_transfers_total";
const expired = "vllm:nixl_num_kv_expired_reqs_total";

const finished = (engine: Trio["decode"], reason: string): Promise<number> =>
  metric(engine, "vllm:request_success_total", { finished_reason: reason });

const sources = async ({ decode }: Trio) => ({
  external: await promptTokensBy(decode, "external_kv_transfer"),
  local: await promptTokensBy(decode, "local_compute"),
  p2p: await metric(decode, "vllm:prompt_tokens_cached_by_source_total", { source: "p2p" }),
});

/** Of an engine that is not there. */
const nowhere = (params: Json): Json => ({
  ...params,
  remote_engine_id: "00000000-0000-4000-8000-000000000000",
  remote_port: 9,
});
