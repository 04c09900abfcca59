import type { Generation } from "./generate.ts";
import type { Metrics } from "./metrics.ts";

/** Takes the times of one request for the histograms. */
export function createStopwatch({ prompts, choices }: Generation, metrics: Metrics) {
  const startedMs = performance.now();
  let firstMs: number | undefined;
  let lastMs = startedMs;
  let tokens = 0;

  return {
    /** After each step of the engine, with the tokens that it made. */
    step(count: number): void {
      const nowMs = performance.now();
      if (firstMs === undefined)
        metrics.observe("time_to_first_token_seconds", (nowMs - startedMs) / 1_000);
      else metrics.observe("inter_token_latency_seconds", (nowMs - lastMs) / 1_000);
      firstMs ??= nowMs;
      lastMs = nowMs;
      tokens += count;
      metrics.counters.generation += count;
    },
    end(): void {
      const prefillS = ((firstMs ?? lastMs) - startedMs) / 1_000;
      const wholeS = (lastMs - startedMs) / 1_000;
      metrics.observe("request_queue_time_seconds", 0);
      metrics.observe("request_prefill_time_seconds", prefillS);
      metrics.observe("request_decode_time_seconds", wholeS - prefillS);
      metrics.observe("request_inference_time_seconds", wholeS);
      metrics.observe("e2e_request_latency_seconds", wholeS);
      metrics.observe("request_generation_tokens", tokens);
      for (const prompt of prompts) {
        metrics.observe("request_prompt_tokens", prompt.tokens.length);
        metrics.observe("request_max_num_generation_tokens", prompt.maxTokens * choices);
      }
    },
  };
}
