import type { IncomingHttpHeaders } from "node:http";
import { Agent, request } from "undici";
import type { ProxyKeys } from "../../domain/exposure.ts";
import type { Member } from "../../domain/observed.ts";
import { connectTimeoutMs, keepMsMax } from "../engines/connection.ts";
import { endToEnd } from "../engines/end-to-end.ts";
import type { EndToEnd } from "../engines/end-to-end.ts";

/** A dead engine refuses at once; one that is busy answers /health all the same. */
const healthTimeoutMs = 2_000;

interface Answered {
  readonly status: number;
  readonly text: string;
}

/** What is asked of members now and then, besides completions: short, and on connections of its own. */
export function createQueries(engineKeys?: ProxyKeys["engines"]) {
  const dispatcher = new Agent({
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: keepMsMax,
    keepAliveMaxTimeout: keepMsMax,
  });

  /** A list that a member answers on behalf of all. With `engineKeys`, it is told its own key instead of the client's. */
  function get(member: Member, path: string, headers: IncomingHttpHeaders): Promise<Answered> {
    const own = endToEnd(headers);
    if (engineKeys) delete own["authorization"];
    const key = engineKeys?.[member.role];
    if (key !== undefined) own["authorization"] = `Bearer ${key}`;
    return getWithin(member, path, connectTimeoutMs, own);
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
    headers: EndToEnd = {},
  ): Promise<Answered> {
    const options = { headers, dispatcher, headersTimeout: timeoutMs, bodyTimeout: timeoutMs };
    const answer = await request(new URL(path, member.url), options);
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  return { get, isAlive, close: () => dispatcher.destroy() };
}
