import { engineFamilies, nixlFamilies, renderFamily } from "./families.ts";
import { createHistogram } from "./histogram.ts";
import type { Buckets, Histogram } from "./histogram.ts";

const seconds: Buckets = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1_920, 7_680,
];
const tokens: Buckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];

const histograms = {
  time_to_first_token_seconds: [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,
    80, 160, 640, 2_560,
  ],
  inter_token_latency_seconds: [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  ],
  e2e_request_latency_seconds: seconds,
  request_queue_time_seconds: seconds,
  request_inference_time_seconds: seconds,
  request_prefill_time_seconds: seconds,
  request_decode_time_seconds: seconds,
  request_prompt_tokens: tokens,
  request_generation_tokens: tokens,
  request_max_num_generation_tokens: tokens,
} as const satisfies Readonly<Record<string, Buckets>>;
const xferTime = "nixl_xfer_time_seconds";
const xferSeconds: Buckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 5];
/** Of a simulated transfer. */
const xferS = 0.001;

export interface Metrics {
  readonly counters: Record<
    "generation" | "failedTransfers" | "stop" | "length" | "abort" | "error",
    number
  >;
  /** The tokens of one prompt, by where their KV came from. */
  loaded(prompt: {
    readonly total: number;
    readonly loaded: number;
    readonly isPulled: boolean;
  }): void;
  observe(name: keyof typeof histograms, value: number): void;
  enter(): void;
  leave(): void;
  running(): number;
  render(transfer: { readonly expired: number; readonly late: number }): string;
}

/** What an engine counts and measures, in Prometheus' text format. */
export function createMetrics(model: string, hasNixl: boolean): Metrics {
  const labels = `engine="0",model_name="${model}"`;
  const counters = { generation: 0, failedTransfers: 0, stop: 0, length: 0, abort: 0, error: 0 };
  const prompts = { prompt: 0, local: 0, p2p: 0, external: 0 };
  const buckets = { ...histograms, ...(hasNixl ? { [xferTime]: xferSeconds } : {}) };
  const observed = new Map<string, Histogram>(
    Object.entries(buckets).map(([name, bounds]) => [
      name,
      createHistogram(`vllm:${name}`, bounds),
    ]),
  );
  let running = 0;

  return {
    counters,
    loaded({ total, loaded, isPulled }) {
      prompts.prompt += total;
      prompts.external += loaded;
      prompts.local += total - loaded;
      prompts.p2p += isPulled ? loaded : 0;
      if (isPulled) observed.get(xferTime)?.observe(xferS);
    },
    observe: (name, value) => observed.get(name)?.observe(value),
    enter: () => void (running += 1),
    leave: () => void (running -= 1),
    running: () => running,
    render(transfer) {
      const counts = { ...counters, ...prompts, ...transfer, running };
      const families = [...engineFamilies(counts), ...(hasNixl ? nixlFamilies(counts) : [])];
      return [
        ...families.flatMap((family) => renderFamily(family, labels)),
        ...[...observed.values()].flatMap((histogram) => histogram.render(labels)),
        "",
      ].join("\n");
    },
  };
}
