import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { Agent, request } from "undici";
import type { Member } from "../domain/observed.ts";

/** A huge prompt's prefill, or a decode queue, may take minutes before the first byte. */
const firstByteTimeoutMs = 15 * 60_000;
/** Between two pieces of a stream; a stuck engine must not hold its client for ever. */
const idleTimeoutMs = 5 * 60_000;
const connectTimeoutMs = 5_000;
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
  readonly body: Readable & { text(): Promise<string> };
}

export interface LegRequest {
  readonly member: Member;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly requestId: string;
  readonly body: string;
  readonly signal: AbortSignal;
}

/** Connections to the engines. */
export function createLegs() {
  const dispatcher = new Agent({
    connect: { timeout: connectTimeoutMs },
    headersTimeout: firstByteTimeoutMs,
    bodyTimeout: idleTimeoutMs,
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
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  }

  /** A short GET, for lists that a member answers on behalf of all. */
  async function get(
    member: Member,
    path: string,
    headers: IncomingHttpHeaders,
  ): Promise<{ status: number; text: string }> {
    const options = {
      headers: forwarded(headers),
      dispatcher,
      headersTimeout: connectTimeoutMs,
      bodyTimeout: connectTimeoutMs,
    };
    const answer = await request(new URL(path, member.url), options);
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  return { send, get, close: () => dispatcher.destroy() };
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
