import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { accessOf, denials } from "./admission/auth.ts";
import type { Access, Keys, Scope } from "./admission/auth.ts";
import { isTooLarge, readBody } from "./admission/intake.ts";
import type { Bodiless } from "./admission/intake.ts";
import { createConnections } from "./admission/connections.ts";
import type { Connections } from "./admission/connections.ts";
import { healthOf } from "./health.ts";
import { defaultServerLimits } from "./admission/limits.ts";
import type { ServerLimits } from "./admission/limits.ts";
import { missingRoles } from "./attempt/obtain.ts";
import type { RelaySetup } from "./attempt/obtain.ts";
import { createBodyMemory } from "./admission/memory.ts";
import { deny, refuse } from "./admission/refuse.ts";
import { createRelay } from "./relay.ts";
import { routeOf, scopes, servedPaths } from "./admission/routes.ts";
import type { Route } from "./admission/routes.ts";
import { unfitOf } from "./admission/unfit.ts";
import { createWaiting } from "./admission/waiting.ts";

export interface ServerSetup extends RelaySetup {
  readonly limits?: ServerLimits;
  /** Absent = whoever reaches it may use it. */
  readonly keys?: Keys | undefined;
}

export interface ProxyServer extends Pick<Connections, "retire" | "leaving"> {
  readonly server: Server;
  /** No new connections and requests; those that run may end within `graceMs`, then they are cut with an explicit error. */
  stop(graceMs: number): Promise<void>;
}

const unanswered = "No decode replica answered /v1/models. See pdjob-client status.";

/** One request: its path is one of those that are served. */
interface Asked {
  readonly path: string;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

/** The clients' side: two OpenAI endpoints, models, health and metrics. Everything else is 404. */
export function createProxyServer(setup: ServerSetup): ProxyServer {
  const { pool, legs, metrics, limits = defaultServerLimits, keys } = setup;
  const waiting = createWaiting(limits.waiting, setup);
  const memory = createBodyMemory(limits.memoryBytesMax);
  metrics.watchBodies(memory.held);
  const { relay, cut } = createRelay(setup, waiting, limits.unreadMs);
  let active = 0;
  let stopping = false;
  const isFull = (): boolean => active >= limits.concurrentMax;
  const full = `More than ${limits.concurrentMax} requests at once.`;

  async function complete({ path, incoming, response }: Asked): Promise<void> {
    if (stopping) return reject(response, 503, "The proxy is stopping.");
    if (pool.isClosing()) return reject(response, 503, missingRoles(pool));
    if (isFull()) return reject(response, 503, full);
    const { bodyBytesMax: bytesMax, pace } = limits;
    if (incoming.headers.expect && !isTooLarge(incoming, bytesMax)) response.writeContinue();
    const share = memory.open();
    const { reserve } = share;
    try {
      const bytes = await readBody(incoming, { bytesMax, pace, reserve });
      if (typeof bytes === "string") return bodiless(response, bytes, share.noRoom);
      // Not before: clients that send slowly would take the places of others.
      if (isFull()) return reject(response, 503, full);
      active += 1;
      await relay({ path, incoming, response, bytes, share }).finally(() => (active -= 1));
    } finally {
      share.close();
    }
  }

  function bodiless(response: ServerResponse, why: Bodiless, noRoom: string): void {
    if (why === "gone") return metrics.finished("client_gone");
    const answers = {
      large: [413, `The request body is larger than ${limits.bodyBytesMax} bytes.`],
      full: [503, noRoom],
      slow: [408, "The request body came too slowly."],
    } as const;
    const [status, message] = answers[why];
    reject(response, status, message);
  }

  function reject(response: ServerResponse, status: 408 | 413 | 503, message: string): void {
    metrics.finished("rejected");
    const isLater = status === 503;
    const type = isLater ? "ServiceUnavailableError" : "BadRequestError";
    const isKept = isLater && !stopping && !pool.isClosing();
    refuse(response, status, message, type, isKept ? {} : { connection: "close" });
  }

  const access = (incoming: IncomingMessage, scope: Scope): Access =>
    keys ? accessOf(keys, incoming.headers.authorization, scope) : "granted";

  function health({ incoming, response }: Asked): void {
    const { status, body } = healthOf(pool, stopping);
    const { reason: _, ...brief } = body;
    // How many engines there are is for those who may use them.
    const told = access(incoming, "inference") === "granted" ? body : brief;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(told));
  }

  async function models({ path, incoming, response }: Asked): Promise<void> {
    const decodes = pool.members("decode");
    for (const member of decodes) {
      const answer = await legs.get(member, path, incoming.headers).catch(() => undefined);
      if (!answer || answer.status >= 500) continue;
      return void response
        .writeHead(answer.status, { "content-type": "application/json" })
        .end(answer.text);
    }
    const message = decodes.length > 0 ? unanswered : missingRoles(pool);
    refuse(response, 503, message, "ServiceUnavailableError");
  }

  const routes: Readonly<Record<Route, (asked: Asked) => void | Promise<void>>> = {
    complete,
    models,
    health,
    metrics: ({ response }) =>
      void response
        .writeHead(200, { "content-type": "text/plain; version=0.0.4" })
        .end(metrics.render()),
  };

  function serve(incoming: IncomingMessage, response: ServerResponse): void {
    const unfit = unfitOf(incoming);
    if (unfit) {
      metrics.finished("rejected");
      const headers = { connection: "close" };
      return refuse(response, unfit.status, unfit.message, "BadRequestError", headers);
    }
    const found = routeOf(incoming.method ?? "", incoming.url ?? "");
    if (found.kind === "unknown") {
      const message = `${found.asked} is not served here. Served: ${servedPaths}.`;
      return refuse(response, 404, message, "NotFoundError");
    }
    const { route, path } = found;
    const may = access(incoming, scopes[route]);
    if (may !== "granted") {
      metrics.finished("denied");
      return deny(response, denials[may]);
    }
    void Promise.resolve(routes[route]({ path, incoming, response })).catch((error: Error) => {
      setup.log(`unexpected: ${error.stack ?? error.message}`);
      refuse(response, 500, "The proxy failed; its log says why.", "InternalServerError");
    });
  }

  const { server, retire, leaving, stop } = createConnections(limits, serve);
  return {
    server,
    retire: () => {
      // Members that come are told to its successor: whoever waits here is better off there.
      waiting.close();
      retire();
    },
    leaving,
    stop: (graceMs) => {
      stopping = true;
      waiting.close();
      return stop(graceMs, cut);
    },
  };
}
