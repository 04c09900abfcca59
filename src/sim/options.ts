import { UsageError, readFlags } from "./command-line.ts";
import type { Flags } from "./command-line.ts";
import { parseGang } from "./gang-options.ts";
import type { GangOptions } from "./gang-options.ts";
import { parseKvConfig } from "./kv-config.ts";
import type { KvConfig } from "./kv-config.ts";

/** What the simulated engine was asked to be. */
export interface EngineOptions {
  readonly model: string;
  readonly servedModelNames: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly apiKeys: readonly string[];
  readonly dataParallelSize: number;
  readonly tensorParallelSize: number;
  readonly gang: GangOptions;
  readonly maxModelLen: number;
  readonly dtype: string;
  readonly blockSize: number;
  readonly shutdownTimeoutS: number;
  readonly requestIdHeaders: boolean;
  readonly kv?: KvConfig;
}

/** Parses `serve MODEL --flag …` as strictly as vLLM: unknown flags, missing values and wrong numbers are errors. */
export function parseOptions(argv: readonly string[]): EngineOptions {
  const [command, model, ...words] = argv;
  if (command !== "serve")
    throw new UsageError(`invalid choice: ${command ?? ""} (choose from serve)`, "vllm");
  if (model === undefined || model.startsWith("--"))
    throw new UsageError("the following arguments are required: model_tag");
  const flags = readFlags(words);
  const text = (name: string): string | undefined => flags.get(name)?.[0];
  const kvText = text("kv-transfer-config");
  return {
    model,
    servedModelNames: flags.get("served-model-name") ?? [model],
    host: text("host") ?? "0.0.0.0",
    port: count(flags, "port", 8000),
    apiKeys: flags.get("api-key") ?? [],
    dataParallelSize: count(flags, "data-parallel-size", 1),
    tensorParallelSize: count(flags, "tensor-parallel-size", 1),
    gang: parseGang({
      count: (name, fallback) => count(flags, name, fallback),
      text,
      has: (name) => flags.has(name),
    }),
    maxModelLen: count(flags, "max-model-len", 8192),
    dtype: text("dtype") ?? "auto",
    blockSize: count(flags, "block-size", 16),
    shutdownTimeoutS: count(flags, "shutdown-timeout", 0),
    requestIdHeaders: text("enable-request-id-headers") === "true",
    ...(kvText === undefined ? {} : { kv: parseKvConfig(kvText) }),
  };
}

const unit: Readonly<Record<string, number>> = {
  k: 1_000,
  K: 1_024,
  m: 1_000_000,
  M: 1_048_576,
  g: 1_000_000_000,
  G: 1_073_741_824,
};

function count(flags: Flags, name: string, fallback: number): number {
  const text = flags.get(name)?.[0];
  if (text === undefined) return fallback;
  return Math.trunc(Number.parseFloat(text) * (unit[text.at(-1) ?? ""] ?? 1));
}
