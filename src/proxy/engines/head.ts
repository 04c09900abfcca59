import type { IncomingHttpHeaders } from "node:http";
import { space, tab } from "./characters.ts";

/** Lines of headers; no engine sends nearly as many. */
const headersMax = 100;
/** What an engine says of its idle connections is met with some time to spare: a request is on its way for a while. */
const keepMarginMs = 2_000;

/** What says how an answer's body ends: its length, chunks, or the connection. */
export type Framing = number | "chunks" | "close";

export interface AnswerHead {
  readonly status: number;
  /** By name in lower case; those that come more than once are lists. */
  readonly headers: IncomingHttpHeaders;
  readonly framing: Framing;
  /** For how long the engine keeps the connection for a next request: 0 when it does not, Infinity when it does not say. */
  readonly keepMs: number;
}

const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const digits = /^\d{1,15}$/;
const interimMax = 199;
const bodiless: ReadonlySet<number> = new Set([204, 304]);

/** Of an answer that is not what we take for HTTP/1.1: where it would end would be a guess. */
export const malformed = (what: string): Error =>
  new Error(`its answer is not good HTTP/1.1: ${what}`);

/**
 * The head of an answer to a POST, from its status line to its last header, in latin1 and without the empty line. Its lines end with
 * CRLF, and it has no control characters besides: whoever found its end has seen to that.
 */
export function readHead(text: string): AnswerHead | Error {
  const lines = text.split("\r\n");
  const [, minor, status] = statusLine.exec(lines[0] ?? "") ?? [];
  if (status === undefined) return malformed("its first line is no status line");
  if (lines.length - 1 > headersMax) return malformed(`more than ${headersMax} headers`);
  const headers: Record<string, string | string[]> = {};
  for (let at = 1; at < lines.length; at++) {
    const line = lines[at] as string;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    if (!token.test(name)) return malformed("a header without a good name");
    add(headers, name, trimmed(line, colon + 1));
  }
  const framing = framingOf(Number(status), minor === "0", headers);
  if (framing instanceof Error) return framing;
  const keepMs = minor === "0" || framing === "close" ? 0 : keepMsOf(headers);
  return { status: Number(status), headers, framing, keepMs };
}

function add(headers: Record<string, string | string[]>, name: string, value: string): void {
  const known = Object.hasOwn(headers, name) ? headers[name] : undefined;
  if (known === undefined) headers[name] = value;
  else if (Array.isArray(known)) known.push(value);
  else headers[name] = [known, value];
}

const isBlank = (code: number): boolean => code === space || code === tab;

/** Not by `trim`, which takes more for a blank than HTTP does. */
function trimmed(line: string, start: number): string {
  let from = start;
  let to = line.length;
  while (from < to && isBlank(line.charCodeAt(from))) from += 1;
  while (to > from && isBlank(line.charCodeAt(to - 1))) to -= 1;
  return line.slice(from, to);
}

type Headers = Readonly<Record<string, string | string[]>>;

/** RFC 9112, 6.3; what it leaves to the reader is an error. */
function framingOf(status: number, isOld: boolean, headers: Headers): Framing | Error {
  const coding = headers["transfer-encoding"];
  const length = headers["content-length"];
  if (coding !== undefined && length !== undefined) return malformed("chunks and a length");
  if (length !== undefined && !(typeof length === "string" && digits.test(length)))
    return malformed("a length that is no number");
  if (coding !== undefined && (isOld || String(coding).toLowerCase() !== "chunked"))
    return malformed("a transfer-encoding other than chunked");
  if (status <= interimMax || bodiless.has(status)) return 0;
  if (coding !== undefined) return "chunks";
  return length === undefined ? "close" : Number(length);
}

/** `Connection: close`, `Keep-Alive: timeout=5`, or nothing. */
function keepMsOf(headers: Headers): number {
  const connection = headers["connection"];
  if (connection !== undefined && connection !== "keep-alive" && /close/i.test(String(connection)))
    return 0;
  const hint = headers["keep-alive"];
  if (hint === undefined) return Infinity;
  const [, seconds] = /timeout=(\d{1,9})/i.exec(String(hint)) ?? [];
  return seconds === undefined ? Infinity : Math.max(0, Number(seconds) * 1_000 - keepMarginMs);
}
