import { isUtf8 } from "node:buffer";
import { endOfPlain } from "./plain.ts";

/*
 * Where things are in a JSON text, without making objects of it. A prompt may be megabytes: it is read once, checked as
 * JSON.parse would (RFC 8259), and never copied into strings. Iterative, so that no nesting exhausts the stack.
 */

/** Bytes `from` (included) to `to` (excluded). */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface JsonMember {
  /** Empty when it is too long to be one that is looked for. */
  readonly key: string;
  readonly value: Span;
  /** Key and value, without commas. */
  readonly whole: Span;
}

/** A JSON object as it came, with its top-level members in order. A key may come twice; the last one counts. */
export interface JsonObject {
  readonly bytes: Buffer;
  readonly members: readonly JsonMember[];
}

const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;
const colon = 0x3a;
const openList = 0x5b;
const backslash = 0x5c;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

const byteSet = (characters: string): Uint8Array => {
  const set = new Uint8Array(256);
  for (const byte of Buffer.from(characters, "latin1")) set[byte] = 1;
  return set;
};
const blanks = byteSet(" \t\n\r");
const escapes = byteSet('"\\/bfnrt');
const hexDigits = byteSet("0123456789abcdefABCDEF");
const exponents = byteSet("eE");
const signs = byteSet("+-");
const words = ["true", "false", "null"].map((word) => Buffer.from(word));
const unicodeEscape = 0x75;
const unicodeDigits = 4;

/** What is not JSON ends a scan from any depth. */
class Malformed extends Error {}

/** Members of an object: each of a few bytes is kept as objects of more than a hundred. Requests have some tens. */
export const membersMax = 256;
/** Of a key's JSON text. Those that the proxy knows are shorter, however they are escaped. */
const keyBytesMax = 256;

/** Undefined for anything that is not one JSON object in UTF-8, of at most `membersMax` members. */
export function scanObject(bytes: Buffer): JsonObject | undefined {
  if (!isUtf8(bytes)) return undefined;
  try {
    const members: JsonMember[] = [];
    const end = scanMembers(bytes, skipBlanks(bytes, 0), members);
    return skipBlanks(bytes, end) === bytes.length ? { bytes, members } : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** The JSON texts of a list's items; none when `text`, which a scan has found to be JSON, is no list. */
export function* itemsOf(text: Buffer): Generator<Buffer> {
  if (!isList(text)) return;
  let at = skipBlanks(text, 1);
  while (text[at] !== closeList) {
    const end = endOfValue(text, at);
    yield text.subarray(at, end);
    at = skipBlanks(text, end);
    if (text[at] === comma) at = skipBlanks(text, at + 1);
  }
}

export const isList = (text: Buffer): boolean => text[0] === openList;

export const isNumber = ([first = 0]: Buffer): boolean => first === minus || isDigit(first);

/** Answers with where the object ends, and puts its members into `found`. */
function scanMembers(bytes: Buffer, start: number, found: JsonMember[]): number {
  let at = skipBlanks(bytes, expectByte(bytes, start, openObject));
  if (bytes[at] === closeObject) return at + 1;
  for (;;) {
    const keyEnd = endOfString(bytes, at);
    const key = stringOf(bytes, at, keyEnd);
    const from = skipBlanks(bytes, expectByte(bytes, skipBlanks(bytes, keyEnd), colon));
    const to = endOfValue(bytes, from);
    if (found.push({ key, value: { from, to }, whole: { from: at, to } }) > membersMax)
      throw new Malformed();
    at = skipBlanks(bytes, to);
    if (bytes[at] === closeObject) return at + 1;
    at = skipBlanks(bytes, expectByte(bytes, at, comma));
  }
}

/** Empty for one that is longer than any that the proxy looks for: it is nobody's, and would be held as text. */
function stringOf(bytes: Buffer, from: number, to: number): string {
  if (to - from > keyBytesMax) return "";
  const text = bytes.toString("utf8", from + 1, to - 1);
  return text.includes("\\") ? (JSON.parse(`"${text}"`) as string) : text;
}

/** `at` is the value's first byte. */
function endOfValue(bytes: Buffer, start: number): number {
  const open: number[] = [];
  let at = start;
  for (;;) {
    const opened = openContainer(bytes, at, open);
    if (opened !== undefined) {
      at = opened;
      continue;
    }
    at = isEmptyContainer(bytes, at) ? skipBlanks(bytes, at + 1) + 1 : endOfScalar(bytes, at);
    const next = closeContainers(bytes, at, open);
    if (open.length === 0) return next;
    at = next;
  }
}

function isEmptyContainer(bytes: Buffer, at: number): boolean {
  const close = closerOf(bytes[at]);
  return close !== undefined && bytes[skipBlanks(bytes, at + 1)] === close;
}

const closerOf = (byte: number | undefined): number | undefined =>
  byte === openObject ? closeObject : byte === openList ? closeList : undefined;

/** Goes into a list or an object that has something in it: where its first value begins. */
function openContainer(bytes: Buffer, at: number, open: number[]): number | undefined {
  const close = closerOf(bytes[at]);
  if (close === undefined) return undefined;
  const inside = skipBlanks(bytes, at + 1);
  if (bytes[inside] === close) return undefined;
  open.push(close);
  return close === closeObject ? afterKey(bytes, inside) : inside;
}

/** After a value: leaves what ends here. Answers with the next value's beginning, or with the end when nothing is open. */
function closeContainers(bytes: Buffer, start: number, open: number[]): number {
  let at = start;
  while (open.length > 0) {
    const close = open.at(-1);
    at = skipBlanks(bytes, at);
    if (bytes[at] === close) {
      open.pop();
      at += 1;
    } else {
      const next = skipBlanks(bytes, expectByte(bytes, at, comma));
      return close === closeObject ? afterKey(bytes, next) : next;
    }
  }
  return at;
}

function afterKey(bytes: Buffer, at: number): number {
  const end = skipBlanks(bytes, endOfString(bytes, at));
  return skipBlanks(bytes, expectByte(bytes, end, colon));
}

function endOfScalar(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first === quote) return endOfString(bytes, at);
  if (first === minus || isDigit(first)) return endOfNumber(bytes, at);
  const word = words.find((one) => one.equals(bytes.subarray(at, at + one.length)));
  if (!word) throw new Malformed();
  return at + word.length;
}

function endOfString(bytes: Buffer, start: number): number {
  let at = expectByte(bytes, start, quote);
  for (;;) {
    at = endOfPlain(bytes, at);
    if (bytes[at] === quote) return at + 1;
    at = endOfEscape(bytes, expectByte(bytes, at, backslash));
  }
}

function endOfEscape(bytes: Buffer, at: number): number {
  if (isIn(escapes, bytes[at])) return at + 1;
  expectByte(bytes, at, unicodeEscape);
  for (let digit = 1; digit <= unicodeDigits; digit++)
    if (!isIn(hexDigits, bytes[at + digit])) throw new Malformed();
  return at + 1 + unicodeDigits;
}

function endOfNumber(bytes: Buffer, start: number): number {
  let at = bytes[start] === minus ? start + 1 : start;
  at = bytes[at] === zero ? at + 1 : skipDigits(bytes, at);
  if (bytes[at] === dot) at = skipDigits(bytes, at + 1);
  if (isIn(exponents, bytes[at])) {
    at += 1;
    at = skipDigits(bytes, isIn(signs, bytes[at]) ? at + 1 : at);
  }
  return at;
}

/** At least one. */
function skipDigits(bytes: Buffer, start: number): number {
  let at = start;
  while (isDigit(bytes[at] ?? 0)) at += 1;
  if (at === start) throw new Malformed();
  return at;
}

function skipBlanks(bytes: Buffer, start: number): number {
  let at = start;
  while (isIn(blanks, bytes[at])) at += 1;
  return at;
}

const isDigit = (byte: number): boolean => byte >= zero && byte <= nine;

const isIn = (set: Uint8Array, byte: number | undefined): boolean =>
  byte !== undefined && set[byte] === 1;

function expectByte(bytes: Buffer, at: number, byte: number): number {
  if (bytes[at] !== byte) throw new Malformed();
  return at + 1;
}
