import type { ParamValue } from "../domain/spec.ts";

/** What `{NAME}` and `{PORT:name}` stand for in one replica's command. */
export interface PlaceholderValues {
  readonly named: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, number | string>>;
}

const pattern =
  /\{(HOST|PORT|KV_IP|NODE_NAME|ROLE|INDEX|GENERATION|WORK_DIR)(?::([a-z0-9_-]+)(?::\d+)?)?\}/gi;

/** Fills every placeholder of a text. JSON braces are no placeholders: only the known names match. */
export function fill(text: string, { named, ports }: PlaceholderValues): string {
  return text.replaceAll(pattern, (whole, name: string, port: string | undefined, at: number) => {
    if (name !== name.toUpperCase() || isTemplate(text, whole, at)) return whole;
    if (port === undefined) return named[name] ?? whole;
    return name === "PORT" ? String(ports[port] ?? whole) : whole;
  });
}

/** `{{PORT}}` belongs to a template of somebody else's, and is left as it is. */
const isTemplate = (text: string, whole: string, at: number): boolean =>
  text[at - 1] === "{" && text[at + whole.length] === "}";

/** The same for a parameter's value, nested strings included. */
export function fillValue(value: ParamValue, values: PlaceholderValues): ParamValue {
  if (typeof value === "string") return fill(value, values);
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map((item) => fillValue(item, values));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, fillValue(item, values)]),
  );
}

/** Every `{PORT:name}` and `{PORT:name:span}` in a text. */
export function namedPorts(
  text: string,
): readonly { readonly name: string; readonly span: number }[] {
  return [...text.matchAll(/\{PORT:([a-z0-9_-]+)(?::(\d+))?\}/g)].flatMap(
    ({ 0: whole, 1: name = "", 2: span, index }) =>
      isTemplate(text, whole, index) ? [] : [{ name, span: Number(span ?? 1) }],
  );
}

export const isList = (value: ParamValue): value is readonly ParamValue[] => Array.isArray(value);
