import type { Pool } from "./members/membership.ts";
import type { Alone } from "./bytes/prompts.ts";
import type { WaitEnd } from "./admission/waiting.ts";

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
  | "rejected"
  /** Without a key, or with one that is not good for it. */
  | "denied";

/**
 * What an engine's 200 hides. `abort`: an answer that it gave up, with a `finish_reason` like any other; `cut`: a stream
 * without an end; `no_kv`: a prefill that kept nothing for decode.
 */
export type Silent = "abort" | "cut" | "no_kv";

/** Upper bounds, in seconds, of the legs' time-to-headers histogram. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

/** Counters in Prometheus' text format. */
export function createProxyMetrics(pool: Pool) {
  const outcomes = new Map<Outcome, number>();
  const legs = { prefill: emptyHistogram(), decode: emptyHistogram() };
  const alone = new Map<Alone, number>();
  const silent = new Map<Silent, number>();
  const waits = countWaits();
  let bodyBytes = (): number => 0;
  let retries = 0;
  let broken = 0;

  const render = (): string =>
    [
      ...family("requests_total", "counter", "outcome", outcomes),
      ...family("retries_total", "counter", retries),
      ...family("broken_streams_total", "counter", broken),
      ...family("without_prefill_total", "counter", "reason", alone),
      ...family("silent_failures_total", "counter", "what", silent),
      ...poolLines(pool),
      ...waits.render(),
      ...family("body_bytes", "gauge", bodyBytes()),
      "# TYPE pdjob_proxy_leg_seconds histogram",
      ...(["prefill", "decode"] as const).flatMap((role) => renderHistogram(role, legs[role])),
      "",
    ].join("\n");

  return {
    finished: (outcome: Outcome) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1),
    /** A decode engine computes the prompt itself, because there is no KV to be handed over. */
    alone: (why: Alone) => void alone.set(why, (alone.get(why) ?? 0) + 1),
    /** An engine failed behind a 200. */
    silent: (what: Silent) => void silent.set(what, (silent.get(what) ?? 0) + 1),
    retried: () => void (retries += 1),
    broke: () => void (broken += 1),
    watchWaiting: waits.watch,
    /** `bytes` tells what the bodies of all requests take. */
    watchBodies: (bytes: () => number) => void (bodyBytes = bytes),
    waited: waits.waited,
    /** Starts a leg's clock; the returned function stops it. */
    leg(role: "prefill" | "decode") {
      const startedMs = performance.now();
      return () => observe(legs[role], (performance.now() - startedMs) / 1_000);
    },
    render,
    totals: () => ({ ...Object.fromEntries(outcomes), retries, broken }),
  };
}

/** What the members are like now. */
function poolLines(pool: Pool): readonly string[] {
  const { generation, members } = pool.current();
  const each = (of: (name: string) => number) =>
    members.map(({ name }) => [name, of(name)] as const);
  const policy = pool.selection.withoutPrefill;
  const counts = (["prefill", "decode"] as const).map(
    (role) => [role, pool.members(role).length] as const,
  );
  return [
    ...family("degraded", "gauge", "policy", [[policy, pool.isDegraded() ? 1 : 0]]),
    ...family("membership_generation", "gauge", generation),
    ...family("members", "gauge", "role", counts),
    ...family("in_flight", "gauge", "replica", Object.entries(pool.inFlight())),
    ...family("load_tokens", "gauge", "replica", each(pool.loadOf)),
    ...family(
      "passed_over",
      "gauge",
      "replica",
      each((name) => (pool.isDoubtful(name) ? 1 : 0)),
    ),
    ...family("doubts_total", "counter", "why", Object.entries(pool.doubts())),
  ];
}

type Row = readonly [label: string, value: number];

/** One number, or one for each value of a label. */
function family(name: string, type: "counter" | "gauge", value: number): readonly string[];
function family(
  name: string,
  type: "counter" | "gauge",
  label: string,
  rows: Iterable<Row>,
): readonly string[];
function family(
  name: string,
  type: "counter" | "gauge",
  label: string | number,
  rows: Iterable<Row> = [],
): readonly string[] {
  const full = `pdjob_proxy_${name}`;
  const values =
    typeof label === "number"
      ? [`${full} ${label}`]
      : [...rows].map(([of, value]) => `${full}{${label}="${of}"} ${value}`);
  return [`# TYPE ${full} ${type}`, ...values];
}

export type ProxyMetrics = ReturnType<typeof createProxyMetrics>;

function countWaits() {
  const ends = new Map<WaitEnd, number>();
  let waitedS = 0;
  let countNow = (): number => 0;
  return {
    /** `count` tells how many requests wait for a pair. */
    watch: (count: () => number) => void (countNow = count),
    /** A wait for a pair is over. */
    waited(end: WaitEnd, seconds: number): void {
      ends.set(end, (ends.get(end) ?? 0) + 1);
      waitedS += seconds;
    },
    render: (): readonly string[] => [
      ...family("waiting", "gauge", countNow()),
      ...family("waits_total", "counter", "end", ends),
      ...family("wait_seconds_total", "counter", waitedS),
    ],
  };
}

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
