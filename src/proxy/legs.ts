import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { Agent, request } from "undici";
import type { Member } from "../domain/observed.ts";
import type { Visit } from "./accounts.ts";

/** A stuck engine must not hold its client for ever. Past any of these a request fails, and is not tried again. */
export interface LegLimits {
  /** A huge prompt behind others in the queue. */
  readonly prefillTimeoutMs: number;
  /** Of a stream: the decode queue, and the wait for the prompt's KV. */
  readonly firstEventTimeoutMs: number;
  /** Between two pieces of a stream that has begun. */
  readonly idleTimeoutMs: number;
  /** Not streamed: nothing comes before the last token. */
  readonly wholeAnswerTimeoutMs: number;
}

export const defaultLimits: LegLimits = {
  prefillTimeoutMs: 15 * 60_000,
  firstEventTimeoutMs: 15 * 60_000,
  idleTimeoutMs: 5 * 60_000,
  wholeAnswerTimeoutMs: 60 * 60_000,
};
const connectTimeoutMs = 5_000;
/** A dead engine refuses at once; one that is busy answers /health all the same. */
const healthTimeoutMs = 2_000;
/** Engines close idle connections after 5 s by default; ours must be gone before. */
const keepAliveMs = 3_000;

/** Belongs to one connection, or is set anew for each leg. */
const notForwarded: ReadonlySet<string> = new Set(
  "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host content-length expect accept-encoding x-request-id".split(
    " ",
  ),
);

export interface Leg {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
}

export interface LegRequest {
  readonly member: Member;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly requestId: string;
  readonly body: Buffer;
  readonly signal: AbortSignal;
  /** Until the headers: what vLLM sends at once for a stream, and with the whole answer otherwise. */
  readonly headersTimeoutMs: number;
}

/** Connections to the engines. */
export function createLegs(limits: LegLimits = defaultLimits) {
  const dispatcher = new Agent({
    connect: { timeout: connectTimeoutMs },
    bodyTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    pipelining: 1,
  });

  /** One request to one engine. Rejects when the engine cannot be reached or `signal` aborts. */
  async function send({
    member,
    path,
    headers,
    requestId,
    body,
    signal,
    headersTimeoutMs,
  }: LegRequest): Promise<Leg> {
    const answer = await request(new URL(path, member.url), {
      method: "POST",
      headers: {
        ...forwarded(headers),
        "content-type": "application/json",
        "x-request-id": requestId,
      },
      body,
      signal,
      dispatcher,
      headersTimeout: headersTimeoutMs,
      // A stream's first piece may take longer than its later ones; whoever reads it keeps the time.
      bodyTimeout: Math.max(limits.idleTimeoutMs, limits.firstEventTimeoutMs),
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  }

  /** A short GET, for lists that a member answers on behalf of all. */
  async function get(
    member: Member,
    path: string,
    headers: IncomingHttpHeaders,
  ): Promise<{ status: number; text: string }> {
    return getWithin(member, path, connectTimeoutMs, forwarded(headers));
  }

  /** Whether it answers /health: an engine that a request has ended does not. */
  async function isAlive(member: Member): Promise<boolean> {
    const answer = await getWithin(member, "/health", healthTimeoutMs).catch(() => undefined);
    return answer?.status === 200;
  }

  async function getWithin(
    member: Member,
    path: string,
    timeoutMs: number,
    headers: Record<string, string | string[]> = {},
  ): Promise<{ status: number; text: string }> {
    const options = { headers, dispatcher, headersTimeout: timeoutMs, bodyTimeout: timeoutMs };
    const answer = await request(new URL(path, member.url), options);
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  return { send, get, isAlive, limits, close: () => dispatcher.destroy() };
}

export type Legs = ReturnType<typeof createLegs>;

/** End-to-end headers only. */
export function forwarded(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const named = String(headers.connection ?? "")
    .toLowerCase()
    .split(/\s*,\s*/);
  const kept = Object.entries(headers).filter(
    ([name, value]) => value !== undefined && !notForwarded.has(name) && !named.includes(name),
  );
  return Object.fromEntries(kept) as Record<string, string | string[]>;
}

/** Nobody took the request. Everything else happened to an engine that had it. */
const refusals: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);
const timeouts: ReadonlySet<unknown> = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]);

export function howItFailed(error: Error): "refused" | "late" | "dropped" {
  const code = "code" in error ? error.code : undefined;
  if (refusals.has(code)) return "refused";
  return timeouts.has(code) ? "late" : "dropped";
}

/** The whole of an answer; an error is a value. */
export async function readAll(body: Readable): Promise<Buffer | Error> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of body) pieces.push(piece as Buffer);
  } catch (error) {
    return error as Error;
  }
  return Buffer.concat(pieces);
}

/** Reads pieces one by one; an error is a value, the end is undefined. */
export type Read = (timeoutMs: number) => Promise<Buffer | Error | undefined>;

export function readerOf(body: Readable, visit: Visit): Read {
  const pieces = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  return async (timeoutMs) => {
    visit.asked();
    const timer = setTimeout(() => body.destroy(silence(timeoutMs)), timeoutMs);
    try {
      const { done, value } = await pieces.next();
      visit.came();
      return done ? undefined : value;
    } catch (error) {
      visit.gaveUp();
      return error as Error;
    } finally {
      clearTimeout(timer);
    }
  };
}

const silence = (timeoutMs: number): Error =>
  Object.assign(new Error(`sent nothing for ${timeoutMs / 1_000} s`), {
    code: "UND_ERR_BODY_TIMEOUT",
  });
