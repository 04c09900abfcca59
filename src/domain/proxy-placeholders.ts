import type { Role } from "./role.ts";

/*
 * How an external proxy's command, or the file that it watches, names replicas: `$` or `${…}` around the side, PREFILL or
 * DECODE, a part, and of which replicas. `$PREFILL_URL_2` of the second, `$PREFILL_URLS` of all as a list,
 * `$PREFILL_URL` of each: the word or line that holds it is there once for each replica. Parts are HOST, URL, PORT, and
 * NAME_PORT for the port called `name`. `$PREFILL_COUNT` is their number.
 */
const part = "HOST|URL|(?:[A-Z][A-Z0-9_]*_)?PORT";
const name = `(?:PREFILL|DECODE)_(?:COUNT|(?:${part})(?:S|_\\d+)?)`;

export interface ProxyPlaceholder {
  readonly role: Role;
  /** HOST, URL, PORT, NAME_PORT or COUNT. */
  readonly part: string;
  /** Of one replica, counted from 0, of all, or of each. */
  readonly of: number | "all" | "each";
}

/** Every placeholder in a text. Without braces it ends where no letter, digit or underscore follows, or at its number. */
export const proxyPlaceholders = (): RegExp =>
  new RegExp(`\\$(?:\\{(${name})\\}|(${name})(?:(?<=\\d)|(?!\\w)))`, "g");

/** The meaning of `PREFILL_HOST_1`, a placeholder without `$` and braces; undefined when it has none. */
export function parsePlaceholder(text: string): ProxyPlaceholder | undefined {
  const match = new RegExp(`^(PREFILL|DECODE)_(?:(COUNT)|(${part})(?:(S)|_(\\d+))?)$`).exec(text);
  if (!match) return undefined;
  const [, side, count, what = "", list, number] = match;
  const role = side === "PREFILL" ? "prefill" : "decode";
  if (count !== undefined) return { role, part: count, of: "all" };
  if (number !== undefined) return { role, part: what, of: Number(number) - 1 };
  return { role, part: what, of: list === undefined ? "each" : "all" };
}

/** All that some words name. */
export const placeholdersIn = (words: readonly string[]): readonly ProxyPlaceholder[] =>
  words.flatMap((word) =>
    [...word.matchAll(proxyPlaceholders())].flatMap(
      ([, braced, bare]) => parsePlaceholder(braced ?? bare ?? "") ?? [],
    ),
  );

/** The port that `BOOTSTRAP_PORT` stands for, in lower case; undefined for HOST, URL, PORT and COUNT. */
export const portName = (what: string): string | undefined =>
  what.endsWith("_PORT") ? what.slice(0, -"_PORT".length).toLowerCase() : undefined;

/** Are both the same name? Ports may be called with dashes, placeholders not. */
export const isSamePort = (port: string, placeholder: string): boolean =>
  port.toLowerCase().replaceAll("-", "_") === placeholder;
