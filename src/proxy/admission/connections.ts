import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import type { Socket } from "node:net";
import { bodyDeadlineMs } from "./limits.ts";
import type { ServerLimits } from "./limits.ts";

/** Bytes of a request's first line and headers; past it Node answers 431. */
const headerBytesMax = 16 * 1024;
/** Connections for each request that may run at once: most of them wait for a next one. */
const connectionsPerRequest = 4;
/** Looks for what takes too long, within the shortest of those times. */
const looksPerTimeout = 4;
/** For the last error events to leave. */
const lastWordsMs = 250;
/** After retirement, for requests on connections that are open between two: longer than busy clients pause, and the way. */
const lingerMs = 5_500;

export interface Connections {
  readonly server: Server;
  /** Another server listens on the same socket: no new connections. What comes on those that are open is served, and ends them. */
  retire(): void;
  /** Connections that are left, once it was retired. */
  leaving(): number | undefined;
  /** No new connections. Ends when the last one has, which `graceMs` later are cut, after `cut` was called. */
  stop(graceMs: number, cut: () => void): Promise<void>;
}

interface Client {
  /** Its requests whose answers it does not have yet. */
  open: number;
  /** What had been read of it when its last answer was out. */
  bytesSeen: number;
}

type Serve = (incoming: IncomingMessage, response: ServerResponse) => void;

/** Clients' connections: how long each may take for what, and how they end. */
export function createConnections(limits: ServerLimits, serve: Serve): Connections {
  let open = 0;
  const clients = new Map<Socket, Client>();
  let isStopping = false;
  let isRetired = false;
  let isLingering = false;

  function handle(incoming: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => response.destroy());
    // After a request with an Upgrade that nobody takes up, Node's parser reads nothing more.
    if (isRetired || incoming.headers.upgrade !== undefined)
      response.setHeader("connection", "close");
    const client = clients.get(incoming.socket);
    open += 1;
    if (client) client.open += 1;
    response.on("close", () => {
      open -= 1;
      if (client) answered(client, incoming.socket);
      if (isStopping || (isRetired && !isLingering)) setImmediate(dropIdle);
    });
    serve(incoming, response);
  }

  const server = boundedServer(limits, handle);
  server.on("connection", (connection) => {
    clients.set(connection, { open: 0, bytesSeen: 0 });
    connection.on("close", () => void clients.delete(connection));
  });

  /**
   * Those that wait for a next request, of which nothing has come; at the end also those that never made one. Node takes a
   * connection for idle once it has the last byte of an answer, whether or not the client has it.
   */
  function dropIdle(): void {
    if (open === 0) return server.closeAllConnections();
    for (const [socket, client] of clients) if (isIdle(client, socket)) socket.destroy();
  }

  /** Not the server's own `close`: that cuts connections between two requests, and what is still on its way to a client. */
  function refuseNew(onClosed?: () => void): void {
    NetServer.prototype.close.call(server, onClosed);
  }

  function retire(): void {
    if (isRetired) return;
    isRetired = true;
    isLingering = true;
    refuseNew();
    setTimeout(() => {
      isLingering = false;
      dropIdle();
    }, lingerMs).unref();
  }

  async function stop(graceMs: number, cut: () => void): Promise<void> {
    isStopping = true;
    const closed = new Promise<void>((resolve) => refuseNew(() => resolve()));
    dropIdle();
    let timer = setTimeout(() => {
      cut();
      // From here on: a process that was kept from running until now has time for its last words all the same.
      timer = setTimeout(() => server.closeAllConnections(), lastWordsMs);
    }, graceMs);
    await closed;
    clearTimeout(timer);
  }

  return { server, retire, leaving: () => (isRetired ? clients.size : undefined), stop };
}

function answered(client: Client, { bytesRead }: Socket): void {
  client.open -= 1;
  client.bytesSeen = bytesRead;
}

const isIdle = ({ open, bytesSeen }: Client, { bytesRead }: Socket): boolean =>
  open === 0 && bytesSeen > 0 && bytesSeen === bytesRead;

function boundedServer(limits: ServerLimits, serve: Serve): Server {
  const server = createServer(
    {
      // Whatever NODE_OPTIONS of the job's environment say.
      insecureHTTPParser: false,
      maxHeaderSize: headerBytesMax,
      connectionsCheckingInterval: Math.ceil(limits.headersTimeoutMs / looksPerTimeout),
    },
    serve,
  );
  server.headersTimeout = limits.headersTimeoutMs;
  server.requestTimeout =
    limits.headersTimeoutMs + bodyDeadlineMs(limits.pace, limits.bodyBytesMax);
  server.keepAliveTimeout = limits.keepAliveMs;
  server.maxConnections = limits.concurrentMax * connectionsPerRequest;
  // A body that is refused anyway is not asked for: whoever reads it says when.
  server.on("checkContinue", serve);
  return server;
}
