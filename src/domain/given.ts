import { paramOf } from "./engine-flags.ts";
import type { ParamValue, RoleSpec } from "./spec.ts";

/** What engines of a role are told of their flags. */
export type Told = Pick<RoleSpec, "params" | "extraArgs">;

/** A value that only the engine will know. */
export const unknowable: unique symbol = Symbol("known only to the engine");

/** `{NAME}` or `{PORT:name}`: braces of JSON hold a quote, or small letters. */
const placeholder = /\{#?[A-Z][A-Z0-9_]*(?::[^{}"'\s]*)?\}/;

/**
 * What the command line says of a flag, whether `params` or `_extra_params` says it: as it was written, so digits may be
 * text. Undefined where it says nothing, and `unknowable` where it holds a placeholder or a flag without a value.
 */
export function givenParam(told: Told, param: string): ParamValue | undefined | typeof unknowable {
  const inside = insideOf(told, param);
  const value = inside ?? inExtra(told.extraArgs, param) ?? inParams(told.params, param);
  if (typeof value === "string" && placeholder.test(value)) return unknowable;
  return value ?? undefined;
}

/** Extra arguments come last on the command line, so they win there, and the last of them. */
function inExtra(
  extraArgs: readonly string[],
  param: string,
): string | undefined | typeof unknowable {
  const at = extraArgs.findLastIndex((word) => paramOf(word) === param);
  if (at < 0) return undefined;
  const word = extraArgs[at] ?? "";
  const equals = word.indexOf("=");
  if (equals >= 0) return word.slice(equals + 1);
  const next = extraArgs[at + 1];
  return next === undefined || isFlag(next) ? unknowable : next;
}

const isFlag = (word: string): boolean => /^--?[A-Za-z]/.test(word);

/** Specs of earlier versions may have dashes. */
const inParams = (params: Told["params"], param: string): ParamValue | undefined =>
  params[param] ?? params[param.replaceAll("_", "-")];

/** `--speculative-config.method ngram` is one key of a mapping; vLLM makes one of all of them, in place of any other. */
function insideOf(
  { params, extraArgs }: Told,
  param: string,
): ParamValue | undefined | typeof unknowable {
  const names = [...Object.keys(params), ...extraArgs.flatMap((word) => paramOf(word) ?? [])];
  const inside = [...new Set(names.filter((name) => name.startsWith(`${param}.`)))];
  if (inside.length === 0) return undefined;
  const values = inside.map((name) => [name, inExtra(extraArgs, name) ?? inParams(params, name)]);
  // A list that grows (`--x.y+ item`) is beyond us.
  if (values.some(([name, value]) => value === unknowable || String(name).endsWith("+")))
    return unknowable;
  const whole: Nested = {};
  for (const [name, value] of values)
    put(whole, String(name).split(".").slice(1), parsed(value as ParamValue));
  return whole as ParamValue;
}

interface Nested {
  [key: string]: Nested | ParamValue | undefined;
}

function put(into: Nested, [first = "", ...rest]: readonly string[], value: ParamValue): void {
  if (rest.length === 0) {
    into[first] = value;
    return;
  }
  const below = into[first];
  const next = typeof below === "object" && below !== null ? (below as Nested) : {};
  into[first] = next;
  put(next, rest, value);
}

/** JSON where a text is JSON, as vLLM takes it; else as it is. */
export function parsed(value: ParamValue): ParamValue {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as ParamValue;
  } catch {
    return value;
  }
}
