import { paramOf } from "./engine-flags.ts";
import type { ParamValue, RoleSpec } from "./spec.ts";

/** What engines of a role are told of their flags. */
export type Told = Pick<RoleSpec, "params" | "extraArgs">;

/** A value that only the engine will know. */
export const unknowable: unique symbol = Symbol("known only to the engine");

type Given = ParamValue | undefined | typeof unknowable;

/** `{NAME}` or `{PORT:name}`: braces of JSON hold a quote, or small letters. */
const placeholder = /\{#?[A-Z][A-Z0-9_]*(?::[^{}"'\s]*)?\}/;
/** Flags for the keys of one mapping, and how deep they lead into it, or JSON nests. What has more is left to the engine. */
const keysMax = 100;
const depthMax = 40;

/**
 * What the command line says of a flag, whether `params` or `_extra_params` says it: as it was written, so digits may be
 * text. Undefined where it says nothing, and `unknowable` where it holds a placeholder or a flag without a value.
 */
export function givenParam(told: Told, param: string): Given {
  const value = writtenParam(told, param);
  return typeof value === "string" && holdsPlaceholder(value) ? unknowable : value;
}

export const holdsPlaceholder = (text: string): boolean => placeholder.test(text);

/** The same, with placeholders as they were written. */
export function writtenParam({ params, extraArgs }: Told, param: string): Given {
  const places = placesOf(extraArgs);
  // Extra arguments come last on the command line, so they win there, and the last of them.
  const sayOf = (name: string): Given => {
    const at = places.get(name);
    return at === undefined ? inParams(params, name) : valueAt(extraArgs, at);
  };
  const names = new Set([...Object.keys(params), ...places.keys()]);
  const inside = [...names].filter((name) => name.startsWith(`${param}.`));
  return (inside.length > 0 ? wholeOf(inside, sayOf) : sayOf(param)) ?? undefined;
}

/** Where each flag is given last. */
const placesOf = (extraArgs: Told["extraArgs"]): ReadonlyMap<string, number> =>
  new Map(
    extraArgs.flatMap((word, at) => {
      const name = paramOf(word);
      return name === undefined ? [] : [[name, at] as const];
    }),
  );

function valueAt(extraArgs: Told["extraArgs"], at: number): string | typeof unknowable {
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
function wholeOf(names: readonly string[], sayOf: (name: string) => Given): Given {
  if (names.length > keysMax) return unknowable;
  let whole: ParamValue = {};
  for (const name of names) {
    const value = sayOf(name);
    const [, ...path] = name.split(".");
    // A list that grows (`--x.y+ item`) is beyond us.
    if (value === unknowable || path.length > depthMax || name.endsWith("+")) return unknowable;
    whole = withValue(whole, path, parsed(value ?? null));
  }
  return whole;
}

/** A copy with a value at a path. A key may be `__proto__`, which is one like any other here. */
function withValue(
  whole: ParamValue | undefined,
  [first, ...rest]: readonly string[],
  value: ParamValue,
): ParamValue {
  if (first === undefined) return value;
  const own = isMapping(whole) ? whole : {};
  const below = Object.hasOwn(own, first) ? own[first] : undefined;
  return { ...own, [first]: withValue(below, rest, value) };
}

export const isMapping = (
  value: ParamValue | undefined,
): value is Readonly<Record<string, ParamValue>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** JSON where a text is JSON, as vLLM takes it; else as it is. */
export function parsed(value: ParamValue): ParamValue {
  if (typeof value !== "string") return value;
  try {
    const json = JSON.parse(value) as ParamValue;
    return isDeeperThan(json, depthMax) ? value : json;
  } catch {
    return value;
  }
}

/** Looks no deeper than `levels`, so that its own recursion is bounded. */
export const isDeeperThan = (value: unknown, levels: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (levels === 0 || Object.values(value).some((child) => isDeeperThan(child, levels - 1)));
