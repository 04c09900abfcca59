import type { Pool } from "./membership.ts";
import type { Alone } from "./prompts.ts";

export type Outcome =
  | "served"
  /** A stream that had begun ended with an error event. */
  | "broken"
  | "failed"
  /** An engine was given all its time. */
  | "late"
  /** Not tried again, because the request may be what ended an engine. */
  | "withheld"
  | "no_member"
  | "client_gone"
  | "rejected";

/** Upper bounds, in seconds, of the legs' time-to-headers histogram. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

/** Counters in Prometheus' text format. */
export function createProxyMetrics(pool: Pool) {
  const outcomes = new Map<Outcome, number>();
  const legs = { prefill: emptyHistogram(), decode: emptyHistogram() };
  const alone = new Map<Alone, number>();
  let retries = 0;
  let broken = 0;

  function render(): string {
    const { generation } = pool.current();
    return [
      "# TYPE pdjob_proxy_requests_total counter",
      ...[...outcomes].map(
        ([outcome, count]) => `pdjob_proxy_requests_total{outcome="${outcome}"} ${count}`,
      ),
      "# TYPE pdjob_proxy_retries_total counter",
      `pdjob_proxy_retries_total ${retries}`,
      "# TYPE pdjob_proxy_broken_streams_total counter",
      `pdjob_proxy_broken_streams_total ${broken}`,
      "# TYPE pdjob_proxy_without_prefill_total counter",
      ...[...alone].map(
        ([why, count]) => `pdjob_proxy_without_prefill_total{reason="${why}"} ${count}`,
      ),
      "# TYPE pdjob_proxy_membership_generation gauge",
      `pdjob_proxy_membership_generation ${generation}`,
      "# TYPE pdjob_proxy_members gauge",
      ...(["prefill", "decode"] as const).map(
        (role) => `pdjob_proxy_members{role="${role}"} ${pool.members(role).length}`,
      ),
      "# TYPE pdjob_proxy_in_flight gauge",
      ...Object.entries(pool.inFlight()).map(
        ([name, count]) => `pdjob_proxy_in_flight{replica="${name}"} ${count}`,
      ),
      "# TYPE pdjob_proxy_load_tokens gauge",
      ...pool
        .current()
        .members.map(
          ({ name }) => `pdjob_proxy_load_tokens{replica="${name}"} ${pool.loadOf(name)}`,
        ),
      "# TYPE pdjob_proxy_passed_over gauge",
      ...pool
        .current()
        .members.map(
          ({ name }) =>
            `pdjob_proxy_passed_over{replica="${name}"} ${pool.isDoubtful(name) ? 1 : 0}`,
        ),
      "# TYPE pdjob_proxy_doubts_total counter",
      ...Object.entries(pool.doubts()).map(
        ([why, count]) => `pdjob_proxy_doubts_total{why="${why}"} ${count}`,
      ),
      "# TYPE pdjob_proxy_leg_seconds histogram",
      ...(["prefill", "decode"] as const).flatMap((role) => renderHistogram(role, legs[role])),
      "",
    ].join("\n");
  }

  return {
    finished: (outcome: Outcome) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1),
    /** A decode engine computes the prompt itself, because there is no KV to be handed over. */
    alone: (why: Alone) => void alone.set(why, (alone.get(why) ?? 0) + 1),
    retried: () => void (retries += 1),
    broke: () => void (broken += 1),
    /** Starts a leg's clock; the returned function stops it. */
    leg(role: "prefill" | "decode") {
      const startedMs = performance.now();
      return () => observe(legs[role], (performance.now() - startedMs) / 1_000);
    },
    render,
    totals: () => ({ ...Object.fromEntries(outcomes), retries, broken }),
  };
}

export type ProxyMetrics = ReturnType<typeof createProxyMetrics>;

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

const emptyHistogram = (): Histogram => ({ counts: buckets.map(() => 0), sum: 0, count: 0 });

function observe(histogram: Histogram, seconds: number): void {
  buckets.forEach((bound, index) => {
    if (seconds <= bound) histogram.counts[index] = (histogram.counts[index] ?? 0) + 1;
  });
  histogram.sum += seconds;
  histogram.count += 1;
}

const renderHistogram = (role: string, { counts, sum, count }: Histogram): readonly string[] => [
  ...buckets.map(
    (bound, index) =>
      `pdjob_proxy_leg_seconds_bucket{leg="${role}",le="${bound}"} ${counts[index]}`,
  ),
  `pdjob_proxy_leg_seconds_bucket{leg="${role}",le="+Inf"} ${count}`,
  `pdjob_proxy_leg_seconds_sum{leg="${role}"} ${sum}`,
  `pdjob_proxy_leg_seconds_count{leg="${role}"} ${count}`,
];
