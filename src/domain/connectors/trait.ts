import { givenParam, holdsPlaceholder, isMapping, parsed, unknowable } from "../given.ts";
import type { Told } from "../given.ts";
import type { ParamValue } from "../spec.ts";
import type { Trait } from "./connector.ts";

/** One side's value of a trait: as the user wrote it, and in the one spelling in which two sides are compared. */
export interface TraitValue {
  /** Undefined where vLLM chooses. */
  readonly same: string | undefined;
  readonly shown: string;
}

/** What vLLM takes where nothing is said, as far as that is the same for every model and device. */
const defaults: Readonly<Partial<Record<Trait | "tensor_parallel_size", string>>> = {
  dtype: "auto",
  kv_cache_dtype: "auto",
  pipeline_parallel_size: "1",
  tensor_parallel_size: "1",
};

/** `unknowable`: the engines will tell. */
export function traitOf(
  told: Told,
  trait: Trait | "tensor_parallel_size",
): TraitValue | typeof unknowable {
  const given = givenParam(told, trait) ?? insteadOf(told, trait);
  if (given === unknowable) return unknowable;
  const shown = given === undefined ? defaults[trait] : textOf(given);
  if (shown === undefined) return { same: undefined, shown: "" };
  // A mapping may hold one anywhere.
  if (holdsPlaceholder(shown)) return unknowable;
  return { same: spelled(trait, shown), shown };
}

/** `--attention-backend X` is short for a key of `--attention-config`. */
function insteadOf(told: Told, trait: string): ParamValue | undefined | typeof unknowable {
  if (trait !== "attention_backend") return undefined;
  const config = givenParam(told, "attention_config");
  if (config === undefined || config === unknowable) return config;
  const value = parsed(config);
  return isMapping(value) ? value["backend"] : undefined;
}

/** vLLM's names for the same torch type; engines compare the type. */
const dtypes: Readonly<Record<string, string>> = {
  bf16: "bfloat16",
  float: "float32",
  fp16: "float16",
  fp32: "float32",
  half: "float16",
};

/** Two texts that mean the same to the engines become one. What they compare as text, as NIXL does `kv_cache_dtype`, stays. */
function spelled(trait: Trait | "tensor_parallel_size", text: string): string | undefined {
  switch (trait) {
    case "model":
    case "kv_cache_dtype":
      return text;
    case "dtype": {
      const name = text.toLowerCase().replace(/^torch\./, "");
      return dtypes[name] ?? name;
    }
    case "attention_backend":
      // `auto` is no choice.
      return text.toLowerCase() === "auto" ? undefined : text.toUpperCase();
    case "block_size":
    case "pipeline_parallel_size":
    case "tensor_parallel_size":
      return /^\+?\d+$/.test(text) ? String(Number(text)) : text;
    case "speculative_config":
      return JSON.stringify(sorted(parsed(text)));
  }
}

function sorted(value: ParamValue): ParamValue {
  if (Array.isArray(value)) return value.map((item: ParamValue) => sorted(item));
  if (!isMapping(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

const textOf = (value: ParamValue): string =>
  typeof value === "object" ? JSON.stringify(value) : String(value);
