import type { IncomingHttpHeaders } from "node:http";
import { Agent, request } from "undici";
import type { ProxyKeys } from "../../domain/exposure.ts";
import type { Member } from "../../domain/observed.ts";
import { Answer } from "../answer/answer.ts";
import type { AnswerBody } from "../answer/answer.ts";
import type { Gone } from "../answer/gone.ts";
import { connectTimeoutMs, keepMsMax } from "../engines/connection.ts";
import { endpointOf } from "../engines/endpoint.ts";
import type { Endpoint } from "../engines/endpoint.ts";
import { createExchanges } from "../engines/exchanges.ts";
import { linesOf, postHead } from "../engines/request.ts";

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
/** A dead engine refuses at once; one that is busy answers /health all the same. */
const healthTimeoutMs = 2_000;

/** Belongs to one connection, or is set anew for each leg. */
const notForwarded: ReadonlySet<string> = new Set(
  "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host content-length expect accept-encoding x-request-id x-data-parallel-rank".split(
    " ",
  ),
);

export interface Leg {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AnswerBody;
}

export interface LegRequest {
  readonly member: Member;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly requestId: string;
  readonly body: Buffer;
  readonly gone: Gone;
  /** Until the headers: what vLLM sends at once for a stream, and with the whole answer otherwise. */
  readonly headersTimeoutMs: number;
}

/**
 * Connections to the engines. With `engineKeys`, clients' keys are the proxy's own: none goes to an engine, which gets that of its
 * role, if it has one. Without, the Authorization header of a client goes to the engines as any other.
 */
export function createLegs(limits: LegLimits = defaultLimits, engineKeys?: ProxyKeys["engines"]) {
  const exchanges = createExchanges();
  /** For what is asked rarely, and by itself. */
  const dispatcher = new Agent({
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: keepMsMax,
    keepAliveMaxTimeout: keepMsMax,
  });
  // A stream's first piece may take longer than its later ones; whoever reads it keeps the time.
  const pieceTimeoutMs = Math.max(limits.idleTimeoutMs, limits.firstEventTimeoutMs);

  /** One request to one engine. An engine that cannot be reached, or a request that is over, is an error as a value. */
  function send(of: LegRequest): Promise<Leg | Error> {
    const endpoint = endpointTo(of.member);
    const lines = linesOf(legHeaders(of, engineKeys));
    const error = [of.gone.reason, endpoint, lines].find((one) => one instanceof Error);
    if (error || endpoint instanceof Error || lines instanceof Error)
      return Promise.resolve(error as Error);
    const { path, body, headersTimeoutMs } = of;
    const head = postHead(path, endpoint, lines, body.length);
    return new Promise((resolve) => {
      const answer: Answer = new Answer(of.gone, (begin) =>
        resolve(
          begin instanceof Error
            ? begin
            : { status: begin.status, headers: begin.headers, body: answer },
        ),
      );
      const exchange = { head, body, headersTimeoutMs, pieceTimeoutMs, receiver: answer };
      answer.comesFrom(exchanges.begin(endpoint, exchange));
    });
  }

  /** A short GET, for lists that a member answers on behalf of all. */
  async function get(
    member: Member,
    path: string,
    headers: IncomingHttpHeaders,
  ): Promise<{ status: number; text: string }> {
    return getWithin(member, path, connectTimeoutMs, headersFor(member, headers, engineKeys));
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

  async function close(): Promise<void> {
    exchanges.close();
    await dispatcher.destroy();
  }

  return { send, get, isAlive, limits, close };
}

export type Legs = ReturnType<typeof createLegs>;

/** Members are the same objects for as long as they are told of. */
const endpoints = new WeakMap<Member, Endpoint | Error>();

function endpointTo(member: Member): Endpoint | Error {
  const known = endpoints.get(member);
  if (known) return known;
  const endpoint = endpointOf(member.url);
  endpoints.set(member, endpoint);
  return endpoint;
}

function legHeaders(
  { member, headers, requestId }: LegRequest,
  engineKeys: ProxyKeys["engines"] | undefined,
): Record<string, string | string[]> {
  const own = headersFor(member, headers, engineKeys);
  own["content-type"] = "application/json";
  own["x-request-id"] = requestId;
  return own;
}

/** With `engineKeys`, an engine is told its own key instead of the client's. */
function headersFor(
  { role }: Member,
  headers: IncomingHttpHeaders,
  engineKeys: ProxyKeys["engines"] | undefined,
): Record<string, string | string[]> {
  const own = forwarded(headers);
  if (!engineKeys) return own;
  delete own["authorization"];
  const key = engineKeys[role];
  if (key !== undefined) own["authorization"] = `Bearer ${key}`;
  return own;
}

/** End-to-end headers only. */
export function forwarded(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const named = namedBy(headers.connection);
  const kept: Record<string, string | string[]> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !notForwarded.has(name) && !named?.includes(name))
      kept[name] = value;
  }
  return kept;
}

/** What Connection says of other headers: most often nothing. */
function namedBy(connection: string | undefined): readonly string[] | undefined {
  if (connection === undefined || connection === "keep-alive" || connection === "close")
    return undefined;
  return connection.toLowerCase().split(/\s*,\s*/);
}
