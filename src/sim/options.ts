import { vllmFlags } from "./flags.ts";
import { parseKvConfig } from "./kv-config.ts";
import type { KvConfig } from "./kv-config.ts";

/** What the simulated engine was asked to be. */
export interface EngineOptions {
  readonly model: string;
  readonly servedModelNames: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly apiKey?: string;
  readonly dataParallelSize: number;
  readonly tensorParallelSize: number;
  readonly maxModelLen: number;
  readonly dtype: string;
  readonly blockSize: number;
  readonly shutdownTimeoutS: number;
  readonly requestIdHeaders: boolean;
  readonly kv?: KvConfig;
}

/** A command line that vLLM would refuse; `main` prints it and exits 2, as argparse does. */
export class UsageError extends Error {}

/** Flags that take a value in vLLM; the rest may stand alone. */
const valued: ReadonlySet<string> = new Set(
  "host port served-model-name api-key data-parallel-size tensor-parallel-size pipeline-parallel-size max-model-len max-num-seqs dtype block-size shutdown-timeout kv-transfer-config seed gpu-memory-utilization kv-cache-memory-bytes".split(
    " ",
  ),
);

/** Parses `serve MODEL --flag …` as strictly as vLLM: unknown flags, missing values and wrong numbers are errors. */
export function parseOptions(argv: readonly string[]): EngineOptions {
  const [command, model, ...words] = argv;
  if (command !== "serve")
    throw new UsageError(`invalid choice: ${command ?? ""} (choose from serve)`);
  if (model === undefined || model.startsWith("--"))
    throw new UsageError("the following arguments are required: model_tag");
  const flags = collect(words);
  const text = (name: string): string | undefined => flags.get(name)?.[0];
  const count = (name: string, fallback: number): number => integer(name, text(name), fallback);
  const kvText = text("kv-transfer-config");
  const apiKey = text("api-key");
  return {
    model,
    servedModelNames: flags.get("served-model-name") ?? [model],
    host: text("host") ?? "0.0.0.0",
    port: count("port", 8000),
    dataParallelSize: count("data-parallel-size", 1),
    tensorParallelSize: count("tensor-parallel-size", 1),
    maxModelLen: count("max-model-len", 8192),
    dtype: text("dtype") ?? "auto",
    blockSize: count("block-size", 16),
    shutdownTimeoutS: count("shutdown-timeout", 0),
    requestIdHeaders: flags.has("enable-request-id-headers"),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(kvText === undefined ? {} : { kv: parseKvConfig(kvText) }),
  };
}

function collect(words: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const flags = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const word of words) {
    if (!word.startsWith("--")) {
      if (!current) throw new UsageError(`unrecognized arguments: ${word}`);
      current.push(word);
      continue;
    }
    const [name = "", inline] = splitOnce(word.slice(2));
    const canonical = name.replaceAll("_", "-").split(".", 1)[0] ?? "";
    if (!isKnown(canonical)) throw new UsageError(`unrecognized arguments: ${word}`);
    current = inline === undefined ? [] : [inline];
    flags.set(canonical, current);
  }
  for (const [name, values] of flags) {
    if (valued.has(name) && values.length === 0)
      throw new UsageError(`argument --${name}: expected one argument`);
  }
  return flags;
}

const isKnown = (name: string): boolean =>
  vllmFlags.has(name) || (name.startsWith("no-") && vllmFlags.has(name.slice(3)));

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function integer(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (!/^-?\d+$/.test(text))
    throw new UsageError(`argument --${name}: invalid int value: '${text}'`);
  return Number(text);
}
