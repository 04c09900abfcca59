import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Bed } from "./bed.ts";
import { call, ids } from "./calls.ts";
import { metric, samplesOf } from "./metrics-text.ts";
import { openStream } from "./open-stream.ts";
import type { Trio } from "./trio.ts";

/** Families that dashboards, autoscalers and this project's tests read: type, and labels beyond `engine` and `model_name`. */
const engineFamilies: readonly (readonly [name: string, type: string, labels?: string])[] = [
  ["vllm:num_requests_running", "gauge"],
  ["vllm:num_requests_waiting", "gauge"],
  ["vllm:num_requests_waiting_by_reason", "gauge", "reason=capacity,deferred"],
  ["vllm:kv_cache_usage_perc", "gauge"],
  ["vllm:num_preemptions_total", "counter"],
  ["vllm:prefix_cache_queries_total", "counter"],
  ["vllm:prefix_cache_hits_total", "counter"],
  ["vllm:external_prefix_cache_queries_total", "counter"],
  ["vllm:external_prefix_cache_hits_total", "counter"],
  ["vllm:prompt_tokens_total", "counter"],
  ["vllm:prompt_tokens_cached_total", "counter"],
  [
    "vllm:prompt_tokens_by_source_total",
    "counter",
    "source=local_compute,local_cache_hit,external_kv_transfer",
  ],
  [
    "vllm:prompt_tokens_cached_by_source_total",
    "counter",
    "source=device,host,p2p,disk,external_unspecified",
  ],
  ["vllm:generation_tokens_total", "counter"],
  ["vllm:request_success_total", "counter", "finished_reason=stop,length,abort,error,repetition"],
  ["vllm:time_to_first_token_seconds", "histogram"],
  ["vllm:inter_token_latency_seconds", "histogram"],
  ["vllm:e2e_request_latency_seconds", "histogram"],
  ["vllm:request_queue_time_seconds", "histogram"],
  ["vllm:request_inference_time_seconds", "histogram"],
  ["vllm:request_prefill_time_seconds", "histogram"],
  ["vllm:request_decode_time_seconds", "histogram"],
  ["vllm:request_prompt_tokens", "histogram"],
  ["vllm:request_generation_tokens", "histogram"],
  ["vllm:request_max_num_generation_tokens", "histogram"],
  ["vllm:nixl_xfer_time_seconds", "histogram"],
  ["vllm:nixl_num_failed_transfers_total", "counter"],
  ["vllm:nixl_num_failed_notifications_total", "counter"],
  ["vllm:nixl_num_kv_expired_reqs_total", "counter"],
  ["vllm:nixl_num_notifications_after_expiry_total", "counter"],
];

/** The bounds of a few histograms: a query for a quantile depends on them. */
const bounds = {
  "vllm:time_to_first_token_seconds":
    "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 160.0 640.0 2560.0 +Inf",
  "vllm:inter_token_latency_seconds":
    "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 +Inf",
  "vllm:e2e_request_latency_seconds":
    "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 7680.0 +Inf",
  "vllm:request_generation_tokens":
    "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0 +Inf",
};

export function metricCases(trio: () => Trio, bed: () => Bed): void {
  test("metrics come as text, in the format's version 1.0.0", async () => {
    const { headers } = await call(trio().decode, "GET", "/metrics");
    expect(headers["content-type"]).toBe("text/plain; version=1.0.0; charset=utf-8");
  });

  test.each(engineFamilies)("%s is a %s", async (name, type, labels = "") => {
    const { text } = await call(trio().decode, "GET", "/metrics");
    expect(text).toMatch(new RegExp(`^# TYPE ${name} ${type}$`, "m"));
    const own = (await samplesOf(trio().decode)).filter(
      (sample) => sample.name === (type === "histogram" ? `${name}_count` : name),
    );
    const [label = "", values = ""] = labels.split("=");
    const wanted = values.split(",").map((value) => ({
      engine: "0",
      model_name: "tiny",
      ...(label === "" ? {} : { [label]: value }),
    }));
    expect(own.map((sample) => sample.labels)).toEqual(wanted);
  });

  test.each(Object.entries(bounds))("the bounds of %s are vLLM's", async (name, expected) => {
    const found = (await samplesOf(trio().decode))
      .filter((sample) => sample.name === `${name}_bucket`)
      .map(({ labels }) => labels["le"]);
    expect(found.join(" ")).toBe(expected);
  });

  describe("a request that its client gives up", () => {
    test("runs while it is read, and is gone afterwards without being counted as finished", async () => {
      const { decode } = trio();
      const untilRunning = (count: number) =>
        eventually(
          `${count} run`,
          async () => {
            const now = await metric(decode, "vllm:num_requests_running");
            if (now !== count) throw new Error(`${now} run`);
            return true;
          },
          bed().patienceMs,
        );
      const before = await metric(decode, "vllm:request_success_total");
      const stream = await openStream(decode, {
        prompt: ids(4),
        max_tokens: bed().longStreamTokens,
      });
      await untilRunning(1);
      stream.leave();
      await untilRunning(0);
      expect(await metric(decode, "vllm:request_success_total")).toBe(before);
    });
  });
}
