import type { ParamValue, PortRequest } from "../domain/spec.ts";

/** What `{NAME}` and `{PORT:name}` stand for in one replica's command. */
export interface PlaceholderValues {
  readonly named: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, number | string>>;
}

const pattern =
  /\{#?(HOST|PORTS?|KV_IP|NODE_NAME|ROLE|INDEX|GENERATION|WORK_DIR|JOB|KV_LAYOUT|FILES|PROXY_HOST)(?::([a-z0-9_-]+)(?::(\d+))?)?\}/g;

/** Fills every placeholder of a text. JSON braces are no placeholders: only the known names match. */
export function fill(text: string, { named, ports }: PlaceholderValues): string {
  return text.replaceAll(pattern, (whole, name: string, port?: string, span?: string, at = 0) => {
    if (isTemplate(text, whole, at)) return whole;
    if (port === undefined) return named[name] ?? whole;
    const first = ports[port];
    if (first === undefined) return whole;
    if (name === "PORT") return String(first);
    return name === "PORTS" ? run(first, Number(span ?? 1)).join(",") : whole;
  });
}

/** `{{PORT}}` belongs to a template of somebody else's, and is left as it is. */
export const isTemplate = (text: string, whole: string, at: number): boolean =>
  text[at - 1] === "{" && text[at + whole.length] === "}";

/** The same for a parameter's value, nested strings included. A text that is `{#…}` and nothing else becomes a number. */
export function fillValue(value: ParamValue, values: PlaceholderValues): ParamValue {
  if (typeof value === "string") {
    const filled = fill(value, values);
    return /^\{#[^{}]*\}$/.test(value) && /^\d+$/.test(filled) ? Number(filled) : filled;
  }
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map((item) => fillValue(item, values));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, fillValue(item, values)]),
  );
}

/** Every `{PORT:name}`, `{PORT:name:span}` and `{PORTS:name:span}` in a text. */
export function namedPorts(text: string): readonly PortRequest[] {
  return [...text.matchAll(/\{#?PORTS?:([a-z0-9_-]+)(?::(\d+))?\}/g)].flatMap(
    ({ 0: whole, 1: name = "", 2: span, index }) =>
      isTemplate(text, whole, index) ? [] : [{ name, span: Number(span ?? 1) }],
  );
}

export const isList = (value: ParamValue): value is readonly ParamValue[] => Array.isArray(value);

/** A first port that is not known yet (`<decode-0.kv>`) is counted on in words. */
const run = (first: number | string, span: number): readonly string[] =>
  Array.from({ length: span }, (_, at) => {
    if (typeof first === "number") return String(first + at);
    return at === 0 ? first : `${first}+${at}`;
  });
