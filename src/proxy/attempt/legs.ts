import type { IncomingHttpHeaders } from "node:http";
import type { ProxyKeys } from "../../domain/exposure.ts";
import type { Member } from "../../domain/observed.ts";
import { Answer } from "../answer/answer.ts";
import type { AnswerBody } from "../answer/answer.ts";
import type { Gone } from "../answer/gone.ts";
import { endpointOf } from "../engines/endpoint.ts";
import type { Endpoint } from "../engines/endpoint.ts";
import { createExchanges } from "../engines/exchanges.ts";
import { endToEnd } from "../engines/end-to-end.ts";
import { headerLines, postHead, sizeOf } from "../engines/request.ts";
import { createQueries } from "./queries.ts";

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

export interface Leg {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AnswerBody;
}

export interface LegRequest {
  readonly member: Member;
  readonly path: string;
  /** The client's headers, from `linesOf`. */
  readonly lines: string;
  readonly requestId: string;
  /** In parts, which are sent one after the other. */
  readonly body: readonly Buffer[];
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
  const { get, isAlive, close: closeQueries } = createQueries(engineKeys);
  // A stream's first piece may take longer than its later ones; whoever reads it keeps the time.
  const pieceTimeoutMs = Math.max(limits.idleTimeoutMs, limits.firstEventTimeoutMs);

  const keyLines = {
    prefill: keyLineOf(engineKeys?.prefill),
    decode: keyLineOf(engineKeys?.decode),
  };

  /** Told to engines in other words than a client's. */
  const replaced = engineKeys ? ["content-type", "authorization"] : ["content-type"];

  /** A client's headers as any engine gets them: made once for all legs of a request. */
  const linesOf = (headers: IncomingHttpHeaders): string | Error =>
    headerLines(endToEnd(headers), replaced);

  /** One request to one engine. An engine that cannot be reached, or a request that is over, is an error as a value. */
  function send(of: LegRequest): Promise<Leg | Error> {
    const { member, path, requestId, body, headersTimeoutMs } = of;
    const endpoint = endpointTo(member);
    const keyLine = keyLines[member.role];
    if (of.gone.reason) return Promise.resolve(of.gone.reason);
    if (endpoint instanceof Error) return Promise.resolve(endpoint);
    if (keyLine instanceof Error) return Promise.resolve(keyLine);
    const lines = `${of.lines}${keyLine}x-request-id: ${requestId}\r\n`;
    const head = postHead(path, endpoint, lines, sizeOf(body));
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

  async function close(): Promise<void> {
    exchanges.close();
    await closeQueries();
  }

  return { linesOf, send, get, isAlive, limits, close };
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

/** An engine is told its own key instead of the client's. */
const keyLineOf = (key: string | undefined): string | Error =>
  key === undefined ? "" : headerLines({ authorization: `Bearer ${key}` });
