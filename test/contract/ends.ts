import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Bed, Engine } from "./bed.ts";
import { call, complete, eventsOf, ids, prefill, textOf } from "./calls.ts";
import type { Completion } from "./calls.ts";
import { metric } from "./metrics-text.ts";
import { openStream } from "./open-stream.ts";
import { apiKey, blockSize } from "./trio.ts";
import type { Trio } from "./trio.ts";

const dead = "EngineCore encountered an issue. See stack trace (above) for the root cause.";
/** What an engine that hears no more of a stream would say within. */
const silenceMs = 3_000;

/** How the three engines end. Last, in this order: each case ends one of them. */
export function endCases(trio: () => Trio, bed: () => Bed): void {
  const long = () => ({ prompt: ids(4), max_tokens: bed().longStreamTokens });

  test("KV parameters that name fewer blocks than the prompt needs kill the engine", async () => {
    const { victim: engine, prefill: other } = trio();
    const auth = { authorization: `Bearer ${apiKey}` };
    const params = await prefill(other, ids(blockSize, 21));
    const body = { model: "tiny", prompt: ids(blockSize * 3, 22), kv_transfer_params: params };
    const answer = await call(engine, "POST", "/v1/completions", body, auth);
    expect([answer.status, answer.json<{ error: { message: string } }>().error.message]).toEqual([
      500,
      dead,
    ]);
    await eventually("it refuses connections", () => isRefused(engine), bed().patienceMs);
    expect(await engine.exited).toEqual({ code: 0, signal: null });
  });

  describe("SIGTERM with --shutdown-timeout", () => {
    let stream: Awaited<ReturnType<typeof openStream>>;
    let toldMs: number;

    test("leaves the port open and health good", async () => {
      const { prefill: engine } = trio();
      stream = await openStream(engine, long());
      await eventually("it runs", async () => (await running(engine)) === 1, bed().patienceMs);
      await prefill(engine, ids(20, 20)); // KV that nobody fetches.
      toldMs = Date.now();
      process.kill(engine.pid, "SIGTERM");
      await eventually(
        "it shuts down",
        () => engine.log().includes("[shutdown]"),
        bed().patienceMs,
      );
      await sleep(300);
      expect((await call(engine, "GET", "/health")).status).toBe(200);
    });

    test("turns new texts away with 500, and token ids with an empty answer that says abort", async () => {
      const { prefill: engine } = trio();
      const text = await complete(engine, { prompt: "new", max_tokens: 2 });
      expect([text.status, text.json()]).toEqual([
        500,
        {
          error: {
            message: "cannot schedule new futures after shutdown",
            type: "InternalServerError",
            param: null,
            code: 500,
          },
        },
      ]);
      const numbers = await complete(engine, { prompt: ids(3), max_tokens: 2 });
      const body = numbers.json<Completion>();
      expect([numbers.status, body.choices[0]?.finish_reason, body.choices[0]?.text]).toEqual([
        200,
        "abort",
        "",
      ]);
      expect(body.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 0 });
    });

    test("lets what runs end by itself, keeps KV for its lease, and exits with 0", async () => {
      const { prefill: engine } = trio();
      await stream.ended;
      const events = eventsOf(stream.text());
      expect(events.at(-1)).toBe("[DONE]");
      expect(JSON.parse(events.at(-2) ?? "").choices[0].finish_reason).toBe("length");
      expect(await engine.exited).toEqual({ code: 0, signal: null });
      expect(Date.now() - toldMs).toBeGreaterThan(bed().leaseS * 1_000 - 1_000);
    });
  });

  test("SIGTERM without it: nobody is let in, a stream is cut short, and the exit code is 0", async () => {
    const { decode: engine } = trio();
    const stream = await openStream(engine, long());
    await eventually("it runs", async () => (await running(engine)) === 1, bed().patienceMs);
    process.kill(engine.pid, "SIGTERM");
    await eventually("it refuses connections", () => isRefused(engine), bed().patienceMs);
    await Promise.race([stream.ended, sleep(silenceMs)]);
    // Which of these is a race between the engine core's last words and its end.
    const [last = "", beforeLast = "{}"] = eventsOf(stream.text()).toReversed();
    const { error, choices } = JSON.parse(beforeLast);
    const outcome =
      last !== "[DONE]" ? "silence" : (error?.message ?? choices?.[0]?.finish_reason ?? beforeLast);
    expect(["silence", dead, "abort"]).toContain(outcome);
    process.stdout.write(`SIGTERM without a drain, to a running stream: ${outcome}\n`);
    stream.leave();
    expect(await engine.exited).toEqual({ code: 0, signal: null });
  });
}

const running = (engine: Engine): Promise<number> => metric(engine, "vllm:num_requests_running");

const isRefused = (engine: Engine): Promise<boolean> =>
  textOf(engine, { prompt: "anybody there?", max_tokens: 1 }).then(
    () => false,
    (error: { code?: string }) => error.code === "ECONNREFUSED",
  );
