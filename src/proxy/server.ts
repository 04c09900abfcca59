import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { RelayHandOver } from "./body.ts";
import type { Legs } from "./legs.ts";
import type { Pool } from "./membership.ts";
import type { ProxyMetrics } from "./metrics.ts";
import { refuse } from "./refuse.ts";
import { createRelay, missingRoles } from "./relay.ts";

/** A larger body is refused with 413: it would be held in memory whole. */
const bodyBytesMax = 64 * 1024 * 1024;
/** More requests at once are refused with 503 and Retry-After. */
const concurrentMax = 4_096;
const headersTimeoutMs = 60_000;

export interface ServerSetup {
  readonly pool: Pool;
  readonly legs: Legs;
  readonly metrics: ProxyMetrics;
  readonly handOver: RelayHandOver;
  readonly log: (text: string) => void;
}

/** The clients' side: two OpenAI endpoints, models, health and metrics. Everything else is 404. */
export function createProxyServer(setup: ServerSetup): Server {
  const { pool, legs, metrics } = setup;
  const relay = createRelay(setup);
  let active = 0;

  async function complete(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    if (active >= concurrentMax) {
      metrics.finished("rejected");
      return refuse(
        response,
        503,
        `More than ${concurrentMax} requests at once.`,
        "ServiceUnavailableError",
        { "retry-after": "1" },
      );
    }
    active += 1;
    try {
      const text = await readBody(incoming);
      if (text !== undefined) return await relay(incoming, response, text);
      metrics.finished("rejected");
      refuse(
        response,
        413,
        `The request body is larger than ${bodyBytesMax} bytes.`,
        "BadRequestError",
        { connection: "close" },
      );
    } finally {
      active -= 1;
    }
  }

  function health(response: ServerResponse): void {
    const isReady = pool.members("prefill").length > 0 && pool.members("decode").length > 0;
    const body = isReady ? { status: "ok" } : { status: "not ready", reason: missingRoles(pool) };
    response
      .writeHead(isReady ? 200 : 503, { "content-type": "application/json" })
      .end(JSON.stringify(body));
  }

  async function models(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const member of pool.members("decode")) {
      const answer = await legs.get(member, "/v1/models", incoming.headers).catch(() => undefined);
      if (!answer || answer.status >= 500) continue;
      return void response
        .writeHead(answer.status, { "content-type": "application/json" })
        .end(answer.text);
    }
    refuse(response, 503, missingRoles(pool), "ServiceUnavailableError");
  }

  const routes: Readonly<
    Record<string, (incoming: IncomingMessage, response: ServerResponse) => void | Promise<void>>
  > = {
    "POST /v1/completions": complete,
    "POST /v1/chat/completions": complete,
    "GET /v1/models": models,
    "GET /health": (_, response) => health(response),
    "GET /metrics": (_, response) =>
      void response
        .writeHead(200, { "content-type": "text/plain; version=0.0.4" })
        .end(metrics.render()),
  };

  const server = createServer((incoming, response) => {
    const path = (incoming.url ?? "/").split("?", 1)[0] ?? "/";
    const route = routes[`${incoming.method} ${path}`];
    response.on("error", () => response.destroy());
    if (!route)
      return refuse(
        response,
        404,
        `${incoming.method} ${path} is not served here. Served: ${Object.keys(routes).join(", ")}.`,
        "NotFoundError",
      );
    void Promise.resolve(route(incoming, response)).catch((error: Error) => {
      setup.log(`unexpected: ${error.stack ?? error.message}`);
      refuse(response, 500, "The proxy failed; its log says why.", "InternalServerError");
    });
  });
  server.requestTimeout = 0;
  server.headersTimeout = headersTimeoutMs;
  return server;
}

/** Undefined when it is larger than `bodyBytesMax`. */
async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  if (Number(incoming.headers["content-length"] ?? 0) > bodyBytesMax) return undefined;
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of incoming) {
    size += (part as Buffer).length;
    if (size > bodyBytesMax) return undefined;
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}
