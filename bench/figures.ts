import { medianOf, ratioOf } from "./statistics.ts";
import type { Interval } from "./statistics.ts";
import type { Sample, ScenarioName } from "./scenario.ts";

/** What the samples of one run say: figures of each contender, and how ours compare with what is wanted. */

const metrics = {
  cpuUsPerRequest: ({ cpuMs, requests }) => (cpuMs * 1_000) / requests,
  cpuUsPerToken: ({ cpuMs, tokens }) => (cpuMs * 1_000) / tokens,
  requestsPerSecond: ({ requests, seconds }) => requests / seconds,
  delivered: ({ tokens, offered }) => tokens / offered,
  p50Ms: (sample) => sample.p50Ms,
  p99Ms: (sample) => sample.p99Ms,
  rssMib: (sample) => sample.rssMib,
  failed: (sample) => sample.failed,
  firstRequestMs: (sample) => sample.firstRequestMs ?? Number.NaN,
} as const satisfies Readonly<Record<string, (sample: Sample) => number>>;
export type Metric = keyof typeof metrics;

const metricsOf: Readonly<Record<ScenarioName, readonly Metric[]>> = {
  request: ["cpuUsPerRequest", "requestsPerSecond", "p50Ms", "failed"],
  "long-prompt": ["cpuUsPerRequest", "requestsPerSecond", "p50Ms", "failed"],
  streams: ["cpuUsPerToken", "delivered", "rssMib", "failed"],
  "half-rate": ["p50Ms", "p99Ms", "failed"],
  membership: ["failed", "firstRequestMs"],
};

export interface Figure extends Interval {
  readonly scenario: ScenarioName;
  readonly contender: string;
  readonly metric: Metric;
}

/** In the order of the samples. */
export const figuresOf = (samples: readonly Sample[]): readonly Figure[] =>
  distinct(samples.map(({ scenario }) => scenario)).flatMap((scenario) =>
    distinct(ofScenario(samples, scenario).map(({ contender }) => contender)).flatMap((contender) =>
      metricsOf[scenario].map((metric) => ({
        scenario,
        contender,
        metric,
        ...medianOf(roundsOf(samples, { scenario, contender, metric })),
      })),
    ),
  );

export interface Goal {
  readonly text: string;
  readonly scenario: ScenarioName;
  readonly metric: Metric;
  /** One contender's own figure, or its ratio to another's. */
  readonly of: string;
  readonly per?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const perRequest = { scenario: "request", metric: "cpuUsPerRequest" } as const;
const perPrompt = { scenario: "long-prompt", metric: "cpuUsPerRequest" } as const;
const perToken = { scenario: "streams", metric: "cpuUsPerToken" } as const;
const small = "CPU per 1 KB request";
const long = "CPU per request with a 200 KB prompt";
const token = "CPU per streamed token, 256 streams";

export const goals: readonly Goal[] = [
  { text: small, ...perRequest, of: "toy", per: "pdjob", atLeast: 60 },
  { text: small, ...perRequest, of: "pdjob", per: "nginx", atMost: 4 },
  { text: small, ...perRequest, of: "pdjob", per: "vllm-router", atMost: 2 },
  { text: long, ...perPrompt, of: "toy", per: "pdjob", atLeast: 12 },
  { text: long, ...perPrompt, of: "pdjob", per: "nginx", atMost: 3 },
  { text: token, ...perToken, of: "toy", per: "pdjob", atLeast: 10 },
  { text: token, ...perToken, of: "pdjob", per: "nginx", atMost: 1.3 },
  {
    text: "tokens delivered ÷ offered, 256 streams",
    scenario: "streams",
    metric: "delivered",
    of: "pdjob",
    atLeast: 0.995,
  },
  {
    text: "memory at 256 streams, MiB",
    scenario: "streams",
    metric: "rssMib",
    of: "pdjob",
    atMost: 95,
  },
  {
    text: "p99 latency at half of our highest rate",
    scenario: "half-rate",
    metric: "p99Ms",
    of: "pdjob",
    per: "nginx",
    atMost: 3,
  },
  {
    text: "failed requests while members change",
    scenario: "membership",
    metric: "failed",
    of: "pdjob",
    atMost: 0,
  },
  {
    text: "a newcomer's first request comes after, ms",
    scenario: "membership",
    metric: "firstRequestMs",
    of: "pdjob",
    atMost: 50,
  },
];

export interface Verdict {
  readonly goal: Goal;
  readonly figure: Interval;
  /** Judged by the end of the interval that is worse for us. */
  readonly isMet: boolean;
}

/** Goals of which this run knows something. */
export const verdictsOf = (samples: readonly Sample[]): readonly Verdict[] =>
  goals.flatMap((goal) => {
    const { scenario, metric, of, per, atLeast = -Infinity, atMost = Infinity } = goal;
    const own = roundsOf(samples, { scenario, metric, contender: of });
    const others = per === undefined ? [] : roundsOf(samples, { scenario, metric, contender: per });
    if (own.length === 0 || (per !== undefined && others.length === 0)) return [];
    const figure = per === undefined ? medianOf(own) : ratioOf(own, others);
    return [{ goal, figure, isMet: figure.low >= atLeast && figure.high <= atMost }];
  });

interface Asked {
  readonly scenario: ScenarioName;
  readonly contender: string;
  readonly metric: Metric;
}

const roundsOf = (
  samples: readonly Sample[],
  { scenario, contender, metric }: Asked,
): readonly number[] =>
  samples
    .filter((sample) => sample.scenario === scenario && sample.contender === contender)
    .toSorted((a, b) => a.round - b.round)
    .map(metrics[metric]);

const ofScenario = (samples: readonly Sample[], scenario: ScenarioName): readonly Sample[] =>
  samples.filter((sample) => sample.scenario === scenario);

const distinct = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];
