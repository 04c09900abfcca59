import { call } from "./calls.ts";
import type { Reachable } from "./bed.ts";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Everything that an engine's /metrics says, parsed. */
export async function samplesOf(engine: Reachable): Promise<readonly Sample[]> {
  const { text } = await call(engine, "GET", "/metrics");
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(sampleOf);
}

/** The sum of a metric's samples that have these labels. */
export async function metric(
  engine: Reachable,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const found = (await samplesOf(engine)).filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return found.length === 0 ? Number.NaN : found.reduce((sum, { value }) => sum + value, 0);
}

export const promptTokensBy = (engine: Reachable, source: string): Promise<number> =>
  metric(engine, "vllm:prompt_tokens_by_source_total", { source });

function sampleOf(line: string): Sample {
  const [, name = "", labels = "", value = ""] = /^([^{ ]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", text = ""]) => [
    key,
    text,
  ]);
  return {
    name,
    labels: Object.fromEntries(pairs) as Record<string, string>,
    value: Number(value),
  };
}
