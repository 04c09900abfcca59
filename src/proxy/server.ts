import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import { readBody } from "./body.ts";
import { missingRoles } from "./obtain.ts";
import type { RelaySetup } from "./obtain.ts";
import { refuse } from "./refuse.ts";
import { createRelay } from "./relay.ts";

export interface ServerLimits {
  /** A larger body is refused with 413: it would be held in memory whole. */
  readonly bodyBytesMax: number;
  /** More requests at once are refused with 503 and Retry-After. */
  readonly concurrentMax: number;
}

const defaultLimits: ServerLimits = { bodyBytesMax: 64 * 1024 * 1024, concurrentMax: 4_096 };
const headersTimeoutMs = 60_000;
/** For a whole body to arrive; a slower one is refused with 408. */
const requestTimeoutMs = 5 * 60_000;
/** For the last error events to leave. */
const lastWordsMs = 250;
/** After retirement, for requests on connections that are open between two: what Node tells clients that it waits, and the way. */
const lingerMs = 5_500;

export interface ServerSetup extends RelaySetup {
  readonly limits?: ServerLimits;
}

export interface ProxyServer {
  readonly server: Server;
  /** Another proxy listens on the same socket: no new connections. What comes on those that are open is served, and ends them. */
  retire(): void;
  /** Clients' connections, once it was retired. */
  leaving(): number | undefined;
  /** No new connections and requests; those that run may end within `graceMs`, then they are cut with an explicit error. */
  stop(graceMs: number): Promise<void>;
}

/** The clients' side: two OpenAI endpoints, models, health and metrics. Everything else is 404. */
export function createProxyServer(setup: ServerSetup): ProxyServer {
  const { pool, legs, metrics, limits = defaultLimits } = setup;
  const { relay, cut } = createRelay(setup);
  let active = 0;
  let open = 0;
  let stopping = false;
  let retired = false;
  let isLingering = false;
  let connections = 0;

  async function complete(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    if (stopping) return reject(response, 503, "The proxy is stopping.");
    if (active >= limits.concurrentMax)
      return reject(response, 503, `More than ${limits.concurrentMax} requests at once.`);
    active += 1;
    try {
      const bytes = await readBody(incoming, limits.bodyBytesMax);
      if (bytes !== undefined) return await relay(incoming, response, bytes);
      reject(response, 413, `The request body is larger than ${limits.bodyBytesMax} bytes.`);
    } finally {
      active -= 1;
    }
  }

  function reject(response: ServerResponse, status: 413 | 503, message: string): void {
    metrics.finished("rejected");
    const isLater = status === 503;
    const type = isLater ? "ServiceUnavailableError" : "BadRequestError";
    refuse(response, status, message, type, {
      ...(isLater ? { "retry-after": "1" } : {}),
      ...(isLater && !stopping ? {} : { connection: "close" }),
    });
  }

  function health(response: ServerResponse): void {
    const isReady = pool.hasPair() && !stopping;
    const reason = stopping ? "The proxy is stopping." : missingRoles(pool);
    const body = isReady ? { status: "ok" } : { status: "not ready", reason };
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
    if (retired) response.setHeader("connection", "close");
    open += 1;
    response.on("close", () => {
      open -= 1;
      if (stopping || (retired && !isLingering)) setImmediate(dropConnections);
    });
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
  server.requestTimeout = requestTimeoutMs;
  server.headersTimeout = headersTimeoutMs;
  server.on("connection", (connection) => {
    connections += 1;
    connection.on("close", () => void (connections -= 1));
  });

  /** Those that wait for a next request; at the end also those that never made one, which Node does not count as idle. */
  function dropConnections(): void {
    if (open > 0) server.closeIdleConnections();
    else server.closeAllConnections();
  }

  function retire(): void {
    if (retired) return;
    retired = true;
    isLingering = true;
    // Not the server's own: that cuts connections between two requests, and the next one may be on its way.
    NetServer.prototype.close.call(server);
    setTimeout(() => {
      isLingering = false;
      dropConnections();
    }, lingerMs).unref();
  }

  async function stop(graceMs: number): Promise<void> {
    stopping = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    dropConnections();
    const cutting = setTimeout(cut, graceMs);
    const closing = setTimeout(() => server.closeAllConnections(), graceMs + lastWordsMs);
    await closed;
    clearTimeout(cutting);
    clearTimeout(closing);
  }

  return { server, retire, leaving: () => (retired ? connections : undefined), stop };
}
