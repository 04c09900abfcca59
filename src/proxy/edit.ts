import type { JsonMember, JsonObject } from "./json.ts";

/** For each key the JSON text of its new value, or undefined to drop it. */
export type Changes = Readonly<Record<string, Buffer | undefined>>;

/** The object with other values for some keys. Whatever is not named is copied byte for byte; a key that came twice goes twice. */
export function edit({ bytes, members }: JsonObject, changes: Changes): Buffer {
  const kept = members.filter(({ key }) => !Object.hasOwn(changes, key));
  const added = Object.entries(changes).flatMap(([key, value]) =>
    value === undefined ? [] : [Buffer.concat([nameOf(key), value])],
  );
  const parts = [...kept.map(({ whole }) => bytes.subarray(whole.from, whole.to)), ...added];
  return Buffer.concat([
    brace,
    ...parts.flatMap((part, index) => (index === 0 ? [part] : [comma, part])),
    closingBrace,
  ]);
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

const nameOf = (key: string): Buffer => Buffer.from(`${JSON.stringify(key)}:`);
const brace = Buffer.from("{");
const closingBrace = Buffer.from("}");
const comma = Buffer.from(",");
