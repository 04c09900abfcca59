import type { JsonMember, JsonObject } from "./json.ts";

/** For each key the JSON text of its new value, or undefined to drop it. */
export type Changes = Readonly<Record<string, Buffer | undefined>>;

/** The object with other values for some keys, in one piece. */
export const edit = (object: JsonObject, changes: Changes): Buffer =>
  Buffer.concat(editedParts(object, changes));

/** The same in parts. Whatever is not named is a part of what came, byte for byte; a key that came twice goes twice. */
export function editedParts({ bytes, members }: JsonObject, changes: Changes): readonly Buffer[] {
  const parts: Buffer[] = [brace];
  const add = (...added: readonly Buffer[]): void => {
    if (parts.length > 1) parts.push(comma);
    parts.push(...added);
  };
  // Neighbours that are kept go together, with the comma between them.
  let run: { from: number; to: number } | undefined;
  for (const { key, whole } of members) {
    const isKept = !Object.hasOwn(changes, key);
    if (isKept && run) run.to = whole.to;
    else if (isKept) run = { from: whole.from, to: whole.to };
    else if (run) {
      add(bytes.subarray(run.from, run.to));
      run = undefined;
    }
  }
  if (run) add(bytes.subarray(run.from, run.to));
  for (const key of Object.keys(changes)) {
    const value = changes[key];
    if (value !== undefined) add(nameOf(key), value);
  }
  parts.push(closingBrace);
  return parts;
}

/** JSON text of a small value. */
export const jsonOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** The JSON text of a key's value; of several the last, which is the one that parsers take. */
export function textOf({ bytes, members }: JsonObject, key: string): Buffer | undefined {
  const member = members.findLast((one: JsonMember) => one.key === key);
  return member && bytes.subarray(member.value.from, member.value.to);
}

/** A key's value. Not for prompts: those may be large, and numbers in them larger than JavaScript's. */
export function valueOf(object: JsonObject, key: string): unknown {
  const text = textOf(object, key);
  return text && (JSON.parse(text.toString("utf8")) as unknown);
}

/** Those that the proxy changes: a handful. */
const names = new Map<string, Buffer>();

function nameOf(key: string): Buffer {
  const known = names.get(key);
  if (known) return known;
  const name = Buffer.from(`${JSON.stringify(key)}:`);
  names.set(key, name);
  return name;
}

const brace = Buffer.from("{");
const closingBrace = Buffer.from("}");
const comma = Buffer.from(",");
