import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { OpenStream, Task } from "./outcome.ts";
import { scanObject } from "./json.ts";
import { forwarded } from "./legs.ts";
import type { Outcome } from "./metrics.ts";
import { createObtain } from "./obtain.ts";
import type { RelaySetup, Result } from "./obtain.ts";
import { wayOf } from "./prompts.ts";
import { refuse } from "./refuse.ts";
import { createSplit } from "./split.ts";
import { passOn } from "./stream.ts";
import type { Waiting } from "./waiting.ts";

/** On an answer whose prompt a decode engine computed, because there was no prefill engine to ask. */
const degradedHeader = "x-pdjob-degraded";
const clientLeft = new Error("the client left");
const proxyStops = new Error("The proxy is stopping.");

/** A request whose body has arrived. */
export interface Received {
  /** The engines' path, one of those that are served. */
  readonly path: string;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly bytes: Buffer;
}

/** Serves completions: prefill leg, then decode leg streamed through as bytes. */
export function createRelay(setup: RelaySetup, waiting: Waiting) {
  const { pool, legs, metrics, handOver, log } = setup;
  const obtain = createObtain(setup, waiting);
  const obtainSplit = createSplit(obtain);
  const running = new Set<AbortController>();

  async function relay({ path, incoming, response, bytes }: Received): Promise<void> {
    const body = scanObject(bytes);
    if (!body) {
      metrics.finished("rejected");
      return refuse(response, 400, "The request body is not a JSON object.", "BadRequestError");
    }
    const ended = new AbortController();
    running.add(ended);
    response.once("close", () => ended.abort(clientLeft));
    const task: Task = {
      path,
      headers: incoming.headers,
      body,
      requestId: requestIdOf(incoming),
      gone: ended.signal,
    };
    response.setHeader("x-request-id", task.requestId);
    try {
      metrics.finished(await deliver(await serve(task), response, ended.signal));
    } finally {
      running.delete(ended);
    }
  }

  function serve(task: Task): Promise<Result> {
    const way = wayOf(task.path, task.body, handOver);
    if (way.kind !== "pair" && way.why) metrics.alone(way.why);
    if (way.kind === "split") return obtainSplit(task, way.bodies, way.why === undefined);
    return obtain(task, way.kind === "pair");
  }

  async function deliver(
    result: Result,
    response: ServerResponse,
    ended: AbortSignal,
  ): Promise<Outcome> {
    if ("degraded" in result) response.setHeader(degradedHeader, "decode-local");
    switch (result.kind) {
      case "stream":
        return stream(result, response, ended);
      case "answer": {
        const { status, headers, bytes } = result;
        const length = { "content-length": bytes.length };
        response.writeHead(status, { ...forwarded(headers), ...length }).end(bytes);
        return "served";
      }
      case "refused":
        refuse(response, result.status, result.message, result.type);
        return result.outcome;
      case "gone":
        if (ended.reason === clientLeft) return "client_gone";
        refuse(response, 503, proxyStops.message, "ServiceUnavailableError");
        return "failed";
    }
  }

  async function stream(
    open: OpenStream,
    response: ServerResponse,
    ended: AbortSignal,
  ): Promise<Outcome> {
    try {
      const { idleTimeoutMs } = legs.limits;
      const broken = await passOn(open, { response, ended, idleTimeoutMs });
      if (!broken) return "served";
      const { error, silent } = broken;
      if (error === clientLeft) return "client_gone";
      if (error !== proxyStops) pool.suspect(open.member.name);
      if (silent) metrics.silent(silent);
      log(`a stream broke: ${error.message}`);
      metrics.broke();
      return "broken";
    } finally {
      open.leave();
    }
  }

  return {
    relay,
    /** Ends whatever still runs, with an explicit error. */
    cut: () => running.forEach((ended) => ended.abort(proxyStops)),
  };
}

/** Unique even when a client repeats its own: engines key their KV by it. */
function requestIdOf({ headers }: IncomingMessage): string {
  const own = /^[\w.-]{1,100}$/.exec(String(headers["x-request-id"] ?? ""))?.[0];
  const unique = randomBytes(8).toString("hex");
  return own ? `${own}-${unique}` : unique;
}
