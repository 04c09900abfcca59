import type { Figure, Metric, Verdict } from "./figures.ts";
import type { ScenarioName } from "./scenario.ts";
import type { Interval } from "./statistics.ts";

/** Markdown of one run, for docs/performance.md and for a person at a terminal. */

export interface Run {
  /** What ran where. */
  readonly made: Readonly<Record<string, string>>;
  /** By name: why it did not take part. */
  readonly leftOut: Readonly<Record<string, string>>;
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
}

const titles: Readonly<Record<ScenarioName, string>> = {
  request: "1 KB requests, 32 clients",
  "long-prompt": "200 KB prompts, 32 clients",
  streams: "256 streams, a token each 10 ms",
  "half-rate": "1 KB requests, at half of our highest rate",
  membership: "1 KB requests while a decode engine comes and goes",
};

const columns: Readonly<Record<Metric, string>> = {
  cpuUsPerRequest: "CPU µs per request",
  cpuUsPerToken: "CPU µs per token",
  requestsPerSecond: "requests/s",
  delivered: "delivered ÷ offered",
  p50Ms: "p50 ms",
  p99Ms: "p99 ms",
  rssMib: "memory MiB",
  failed: "failed",
  firstRequestMs: "first request after ms",
};

export const reportOf = (run: Run): string =>
  [goalsTable(run.verdicts), ...scenarioTables(run.figures), conditions(run)].join("\n\n");

const goalsTable = (verdicts: readonly Verdict[]): string =>
  table(
    ["goal", "wanted", "measured", "95 % interval", ""],
    verdicts.map(({ goal, figure, isMet }) => [
      goal.per === undefined ? goal.text : `${goal.text}: ${goal.of} ÷ ${goal.per}`,
      goal.atLeast === undefined ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`,
      numberText(figure.value),
      intervalText(figure),
      isMet ? "met" : "**missed**",
    ]),
  );

function scenarioTables(figures: readonly Figure[]): readonly string[] {
  const scenarios = [...new Set(figures.map(({ scenario }) => scenario))];
  return scenarios.map((scenario) => {
    const own = figures.filter((figure) => figure.scenario === scenario);
    const metrics = [...new Set(own.map(({ metric }) => metric))];
    const contenders = [...new Set(own.map(({ contender }) => contender))];
    const cellOf = (contender: string, metric: Metric): string => {
      const figure = own.find((one) => one.contender === contender && one.metric === metric);
      return figure === undefined || !isTold(figure) ? "–" : numberText(figure.value);
    };
    const rows = contenders.map((name) => [name, ...metrics.map((metric) => cellOf(name, metric))]);
    const heads = ["", ...metrics.map((metric) => columns[metric])];
    return `**${titles[scenario]}** (medians of the rounds)\n\n${table(heads, rows)}`;
  });
}

/** Nothing stands between the clients and a direct engine that could use anything. */
const isTold = ({ contender, metric }: Figure): boolean =>
  !(contender === "direct" && /^cpu|^rss/.test(metric));

const conditions = ({ made, leftOut }: Run): string =>
  [
    ...Object.entries(made).map(([name, text]) => `- ${name}: ${text}`),
    ...Object.entries(leftOut).map(([name, why]) => `- ${name} did not take part: ${why}`),
  ].join("\n");

const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [heads, heads.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const intervalText = ({ low, high }: Interval): string =>
  `${numberText(low)} – ${numberText(high)}`;

/** Three significant digits; more would be noise. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : "∞";
  return value === 0 || Math.abs(value) >= 100
    ? String(Math.round(value))
    : String(Number(value.toPrecision(3)));
}

const begin = "<!-- measured: npm run bench:proxy -- --update-docs -->";
const end = "<!-- end of what was measured -->";

const picture = "![Processor time of each contender](performance.svg)";

/** A page whose measured part is replaced; the rest is written by hand. */
export function withReport(page: string, report: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page lacks ${begin} or ${end}`);
  return `${page.slice(0, from)}${begin}\n\n${picture}\n\n${report}\n\n${page.slice(to)}`;
}
