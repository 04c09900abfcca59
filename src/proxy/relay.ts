import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Gone } from "./answer/gone.ts";
import type { OpenStream, Task } from "./attempt/outcome.ts";
import { membersMax, scanObject } from "./bytes/json.ts";
import type { BodyShare } from "./admission/memory.ts";
import { endToEnd } from "./engines/end-to-end.ts";
import type { Outcome } from "./metrics.ts";
import { createObtain } from "./attempt/obtain.ts";
import type { RelaySetup, Result } from "./attempt/obtain.ts";
import { wayOf } from "./bytes/prompts.ts";
import { refuse } from "./admission/refuse.ts";
import { createSplit } from "./attempt/split.ts";
import { endWith } from "./answer/writing.ts";
import { passOn } from "./answer/stream.ts";
import { boundUnread } from "./answer/unread.ts";
import type { Waiting } from "./admission/waiting.ts";

/** On an answer whose prompt a decode engine computed, because there was no prefill engine to ask. */
const degradedHeader = "x-pdjob-degraded";
const notAnObject = `The request body is not a JSON object, or one of more than ${membersMax} keys.`;
const clientLeft = new Error("the client left");
const proxyStops = new Error("The proxy is stopping.");

/** A request whose body has arrived. */
export interface Received {
  /** The engines' path, one of those that are served. */
  readonly path: string;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly bytes: Buffer;
  /** What it takes of the memory for bodies. */
  readonly share: BodyShare;
}

interface Delivery {
  readonly response: ServerResponse;
  readonly ended: Gone;
  readonly task: Task;
}

/** Serves completions: prefill leg, then decode leg streamed through as bytes. */
export function createRelay(setup: RelaySetup, waiting: Waiting, unreadMs: number) {
  const { pool, legs, metrics, handOver, log } = setup;
  const obtain = createObtain(setup, waiting);
  const obtainSplit = createSplit(obtain);
  const running = new Set<Gone>();

  async function relay({ path, incoming, response, bytes, share }: Received): Promise<void> {
    const body = scanObject(bytes);
    if (!body) {
      metrics.finished("rejected");
      return refuse(response, 400, notAnObject, "BadRequestError");
    }
    const lines = legs.linesOf(incoming.headers);
    if (lines instanceof Error) {
      metrics.finished("rejected");
      return refuse(response, 400, lines.message, "BadRequestError");
    }
    const ended = new Gone();
    running.add(ended);
    response.once("close", () => ended.end(clientLeft));
    const task: Task = {
      path,
      lines,
      body,
      requestId: requestIdOf(incoming),
      gone: ended,
    };
    try {
      metrics.finished(await deliver(await serve(task, share), { response, ended, task }));
    } finally {
      running.delete(ended);
      boundUnread(response, unreadMs);
    }
  }

  function serve(task: Task, share: BodyShare): Promise<Result> {
    const way = wayOf(task.path, task.body, handOver);
    if (way.kind !== "pair" && way.why) metrics.alone(way.why);
    if (way.kind === "split") return obtainSplit(task, way, share);
    return obtain(task, way.kind === "pair");
  }

  async function deliver(result: Result, to: Delivery): Promise<Outcome> {
    const { response, ended } = to;
    const own = ownHeaders(result, to.task);
    switch (result.kind) {
      case "stream":
        return stream(result, own, to);
      case "answer": {
        const { status, headers, bytes } = result;
        const all = Object.assign(endToEnd(headers), own);
        all["content-length"] = String(bytes.length);
        endWith(response.writeHead(status, all), bytes);
        return "served";
      }
      case "refused":
        refuse(response, result.status, result.message, result.type, own);
        return result.outcome;
      case "gone":
        if (ended.reason === clientLeft) return "client_gone";
        refuse(response, 503, proxyStops.message, "ServiceUnavailableError", own);
        return "failed";
    }
  }

  async function stream(
    open: OpenStream,
    headers: Readonly<Record<string, string>>,
    { response, ended }: Delivery,
  ): Promise<Outcome> {
    try {
      const { idleTimeoutMs } = legs.limits;
      const broken = await passOn(open, { response, headers, ended, idleTimeoutMs, unreadMs });
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
    cut: () => running.forEach((ended) => ended.end(proxyStops)),
  };
}

/** Set with the others: headers that are there before cost each of those that come then. */
const ownHeaders = (result: Result, { requestId }: Task): Record<string, string> => ({
  "x-request-id": requestId,
  ...("degraded" in result ? { [degradedHeader]: "decode-local" } : {}),
});

/** Of this process, and of no other. */
const origin = randomBytes(8).toString("hex");
let count = 0;

/** Unique even when a client repeats its own: engines key their KV by it. */
function requestIdOf({ headers }: IncomingMessage): string {
  const own = /^[\w.-]{1,100}$/.exec(String(headers["x-request-id"] ?? ""))?.[0];
  count += 1;
  const unique = `${origin}-${count.toString(36)}`;
  return own ? `${own}-${unique}` : unique;
}
