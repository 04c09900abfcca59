/** What an engine counts, before it gets vLLM's names. */
export interface Counts {
  readonly running: number;
  readonly prompt: number;
  readonly local: number;
  /** Of `external`, by NIXL. */
  readonly p2p: number;
  readonly external: number;
  readonly generation: number;
  readonly stop: number;
  readonly length: number;
  readonly abort: number;
  readonly error: number;
  readonly failedTransfers: number;
  /** KV that nobody fetched in time. */
  readonly expired: number;
  /** KV that was fetched after it was free. */
  readonly late: number;
}

interface Family {
  readonly type: "gauge" | "counter";
  readonly name: string;
  /** The label beyond those that all have, and the value. */
  readonly rows: readonly (readonly [label: string, value: number])[];
}

/** Gauges and counters under vLLM's names and labels, as far as a dashboard or an orchestrator reads them. */
export function engineFamilies(counts: Counts): readonly Family[] {
  const { running, prompt, local, p2p, external, generation } = counts;
  const { stop, length, abort, error } = counts;
  const tiers = { device: 0, host: 0, p2p, disk: 0, external_unspecified: external - p2p };
  return [
    gauge("num_requests_running", running),
    gauge("num_requests_waiting", 0),
    gauge("num_requests_waiting_by_reason", by("reason", { capacity: 0, deferred: 0 })),
    gauge("kv_cache_usage_perc", Math.min(1, running / 256)),
    counter("num_preemptions_total", 0),
    counter("prefix_cache_queries_total", prompt),
    counter("prefix_cache_hits_total", 0),
    counter("external_prefix_cache_queries_total", prompt),
    counter("external_prefix_cache_hits_total", external),
    counter("prompt_tokens_total", prompt),
    counter(
      "prompt_tokens_by_source_total",
      by("source", { local_compute: local, local_cache_hit: 0, external_kv_transfer: external }),
    ),
    counter("prompt_tokens_cached_total", external),
    counter("prompt_tokens_cached_by_source_total", by("source", tiers)),
    counter("generation_tokens_total", generation),
    counter(
      "request_success_total",
      by("finished_reason", { stop, length, abort, error, repetition: 0 }),
    ),
  ];
}

/** What NIXL adds. */
export const nixlFamilies = ({ failedTransfers, expired, late }: Counts): readonly Family[] => [
  counter("nixl_num_failed_transfers_total", failedTransfers),
  counter("nixl_num_failed_notifications_total", 0),
  counter("nixl_num_kv_expired_reqs_total", expired),
  counter("nixl_num_notifications_after_expiry_total", late),
];

export const renderFamily = ({ type, name, rows }: Family, labels: string): readonly string[] => [
  `# TYPE vllm:${name} ${type}`,
  ...rows.map(([label, value]) => `vllm:${name}{${labels}${label}} ${value}`),
];

type Rows = number | Family["rows"];

const gauge = (name: string, rows: Rows): Family => ({ type: "gauge", name, rows: rowsOf(rows) });
const counter = (name: string, rows: Rows): Family => ({
  type: "counter",
  name,
  rows: rowsOf(rows),
});
const rowsOf = (rows: Rows): Family["rows"] => (typeof rows === "number" ? [["", rows]] : rows);

const by = (label: string, values: Readonly<Record<string, number>>): Family["rows"] =>
  Object.entries(values).map(([name, value]) => [`,${label}="${name}"`, value]);
