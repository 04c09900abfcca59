import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { once } from "node:events";
import type { Member } from "../domain/observed.ts";
import type { Role } from "../domain/role.ts";
import { decodeBody, failedAtOnce, isAborted, parseBody, prefillBody } from "./body.ts";
import type { Body, RelayHandOver } from "./body.ts";
import { choose } from "./choose.ts";
import { forwarded } from "./legs.ts";
import type { Leg, Legs } from "./legs.ts";
import type { Pool } from "./membership.ts";
import type { ProxyMetrics } from "./metrics.ts";
import { refuse } from "./refuse.ts";

/** Pairs tried for one request before the client hears of it. Each try is a fresh prefill: KV parameters are used once. */
const attemptsMax = 3;

export interface RelaySetup {
  readonly pool: Pool;
  readonly legs: Legs;
  readonly metrics: ProxyMetrics;
  readonly handOver: RelayHandOver;
  readonly log: (text: string) => void;
}

/** Why an attempt did not serve: `retry` while no byte has reached the client. */
type Attempt = { readonly kind: "served" } | { readonly kind: "retry"; readonly why: string };

interface Job {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Body;
  readonly requestId: string;
  readonly gone: AbortSignal;
  readonly tried: Set<string>;
}

/** Serves one completion: prefill leg, then decode leg streamed through as bytes, on a fresh pair when one fails. */
export function createRelay({ pool, legs, metrics, handOver, log }: RelaySetup) {
  let turn = 0;

  return async function relay(
    incoming: IncomingMessage,
    response: ServerResponse,
    text: string,
  ): Promise<void> {
    const body = parseBody(text);
    if (!body)
      return refuse(response, 400, "The request body is not a JSON object.", "BadRequestError");
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const job: Job = {
      incoming,
      response,
      body,
      requestId: requestIdOf(incoming),
      gone: gone.signal,
      tried: new Set(),
    };
    response.setHeader("x-request-id", job.requestId);
    let why = "";
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const pair = choosePair(job);
      if (!pair) return refuseMissing(response);
      const outcome = await tryPair(job, pair);
      if (outcome.kind === "served" || gone.signal.aborted)
        return metrics.finished(
          gone.signal.aborted && !response.writableEnded ? "client_gone" : "served",
        );
      why = outcome.why;
      metrics.retried();
      log(`${job.requestId}: attempt ${attempt} of ${attemptsMax} failed: ${why}`);
    }
    metrics.finished("failed");
    refuse(
      response,
      502,
      `No prefill/decode pair could serve the request; the last attempt: ${why}`,
      "BadGatewayError",
    );
  };

  function choosePair({ tried }: Job): Record<Role, Member> | undefined {
    const pick = (role: Role): Member | undefined => {
      const candidates = pool.members(role).map((member) => ({
        member,
        inFlight: pool.countOf(member.name),
        suspect: pool.isSuspect(member.name),
      }));
      return choose(candidates, tried, turn);
    };
    turn += 1;
    const prefill = pick("prefill");
    const decode = pick("decode");
    return prefill && decode && { prefill, decode };
  }

  function refuseMissing(response: ServerResponse): void {
    metrics.finished("no_member");
    refuse(response, 503, missingRoles(pool), "ServiceUnavailableError");
  }

  /** Both members count as busy from the start: the prefill until the decode has its KV, the decode to the end. */
  async function tryPair(job: Job, { prefill, decode }: Record<Role, Member>): Promise<Attempt> {
    const leavePrefill = pool.enter(prefill.name);
    const leaveDecode = pool.enter(decode.name);
    try {
      const first = await runPrefill(job, prefill);
      if ("attempt" in first) return first.attempt;
      return await runDecode(job, decode, first.kvTransferParams, leavePrefill);
    } finally {
      leavePrefill();
      leaveDecode();
    }
  }

  async function runPrefill(
    job: Job,
    member: Member,
  ): Promise<{ readonly attempt: Attempt } | { readonly kvTransferParams: unknown }> {
    const started = metrics.leg("prefill");
    const sent = await send(job, member, prefillBody(job.body, handOver));
    if (typeof sent === "string") return { attempt: failed(job, member, sent) };
    const text = await sent.body.text().catch((error: Error) => error);
    started();
    if (text instanceof Error) return { attempt: failed(job, member, text.message) };
    if (sent.status >= 500)
      return { attempt: failed(job, member, `answered ${sent.status}: ${text.slice(0, 200)}`) };
    if (sent.status !== 200) return { attempt: answerClient(job, sent, text) };
    const answer = parseBody(text);
    if (!answer || isAborted(answer))
      return { attempt: failed(job, member, "aborted the prefill (it is shutting down)") };
    // A store needs none, and what its engines answer all the same is not for the other side.
    return { kvTransferParams: handOver === "store" ? undefined : answer["kv_transfer_params"] };
  }

  async function runDecode(
    job: Job,
    member: Member,
    kvTransferParams: unknown,
    kvPulled: () => void,
  ): Promise<Attempt> {
    const started = metrics.leg("decode");
    const sent = await send(job, member, decodeBody(job.body, kvTransferParams));
    if (typeof sent === "string") return failed(job, member, sent);
    if (sent.status >= 500)
      return failed(
        job,
        member,
        `answered ${sent.status}: ${(await sent.body.text().catch(() => "")).slice(0, 200)}`,
      );
    const isStream = String(sent.headers["content-type"]).startsWith("text/event-stream");
    started();
    if (isStream) return stream(job, member, sent, kvPulled);
    const text = await sent.body.text().catch((error: Error) => error);
    if (text instanceof Error) return failed(job, member, text.message);
    if (sent.status === 200 && isAborted(parseBody(text) ?? {}))
      return failed(job, member, "aborted the decode (it is shutting down)");
    return answerClient(job, sent, text);
  }

  /** Nothing can be retried once the first byte is out: an error then becomes an explicit last event. */
  async function stream(
    job: Job,
    member: Member,
    { status, headers, body }: Leg,
    kvPulled: () => void,
  ): Promise<Attempt> {
    const { response, gone } = job;
    const pieces = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const next = () => pieces.next().catch((error: Error) => error);
    let piece = await next();
    if (piece instanceof Error || piece.done) {
      pool.suspect(member.name);
      return { kind: "retry", why: `${member.name} ended the stream before its first byte` };
    }
    const failure = failedAtOnce(piece.value);
    if (failure !== undefined) {
      body.destroy();
      return failed(job, member, `began its stream with: ${failure}`);
    }
    kvPulled();
    response.writeHead(status, forwarded(headers));
    while (!(piece instanceof Error) && !piece.done && !gone.aborted) {
      if (!response.write(piece.value) && !gone.aborted)
        await once(response, "drain", { signal: gone }).catch(() => undefined);
      piece = await next();
    }
    if (piece instanceof Error && !gone.aborted) {
      pool.suspect(member.name);
      log(`${member.name} broke a stream: ${piece.message}`);
      metrics.broke();
      const error = {
        message: `${member.name} failed in the middle of the answer: ${piece.message}`,
        type: "InternalServerError",
        code: 500,
      };
      response.write(`data: ${JSON.stringify({ error })}\n\n`);
    }
    if (gone.aborted) body.destroy();
    response.end();
    return { kind: "served" };
  }

  function send(
    { incoming, requestId, gone }: Job,
    member: Member,
    body: Body,
  ): Promise<Leg | string> {
    const path = (incoming.url ?? "/").split("?", 1)[0] ?? "/";
    const request = {
      member,
      path,
      headers: incoming.headers,
      requestId,
      body: JSON.stringify(body),
      signal: gone,
    };
    return legs.send(request).catch((error: Error) => `cannot be reached: ${error.message}`);
  }

  function failed({ tried }: Job, member: Member, why: string): Attempt {
    tried.add(member.name);
    pool.suspect(member.name);
    return { kind: "retry", why: `${member.name} ${why}` };
  }
}

function answerClient({ response }: Job, { status, headers }: Leg, text: string): Attempt {
  response
    .writeHead(status, { ...forwarded(headers), "content-length": Buffer.byteLength(text) })
    .end(text);
  return { kind: "served" };
}

/** Unique even when a client repeats its own: engines key their KV by it. */
function requestIdOf({ headers }: IncomingMessage): string {
  const own = /^[\w.-]{1,100}$/.exec(String(headers["x-request-id"] ?? ""))?.[0];
  const unique = randomBytes(8).toString("hex");
  return own ? `${own}-${unique}` : unique;
}

/** What keeps the proxy from serving, for people. */
export function missingRoles(pool: Pool): string {
  const counts = { prefill: pool.members("prefill").length, decode: pool.members("decode").length };
  const missing = (["prefill", "decode"] as const)
    .filter((role) => counts[role] === 0)
    .join(" and no ");
  return `No ${missing} replica is ready (${counts.prefill} prefill, ${counts.decode} decode). See pdjob-client status.`;
}
