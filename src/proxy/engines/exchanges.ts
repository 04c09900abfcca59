import { Connection } from "./connection.ts";
import type { Exchange, Owner } from "./connection.ts";
import type { Endpoint } from "./endpoint.ts";
import { createIdle } from "./idle.ts";

/** How often connections are looked at: what they wait for takes too long by up to that much more. */
const lookMs = 250;

/** Requests to engines, on connections that are used again. There are as many as requests at a time, and some that are idle. */
export function createExchanges(nowMs: () => number = () => performance.now()) {
  const open = new Set<Connection>();
  const idle = createIdle<Connection>();
  let looking: NodeJS.Timeout | undefined;

  const owner: Owner = {
    onFree(connection) {
      if (!idle.put(connection.endpoint.authority, connection)) connection.close();
    },
    onClose(connection) {
      idle.remove(connection.endpoint.authority, connection);
      open.delete(connection);
      if (open.size > 0) return;
      clearInterval(looking);
      looking = undefined;
    },
    nowMs,
  };

  function look(): void {
    const now = nowMs();
    for (const connection of open) connection.look(now);
  }

  function connectTo(endpoint: Endpoint): Connection {
    const connection = new Connection(endpoint, owner);
    open.add(connection);
    looking ??= setInterval(look, lookMs).unref();
    return connection;
  }

  function freeTo({ authority }: Endpoint): Connection | undefined {
    for (;;) {
      const connection = idle.take(authority);
      if (!connection || connection.isFree(nowMs())) return connection;
      connection.close();
    }
  }

  return {
    /** Sends a request; its receiver hears of everything else, and not before this has returned. */
    begin(endpoint: Endpoint, exchange: Exchange): Connection {
      const connection = freeTo(endpoint) ?? connectTo(endpoint);
      connection.ask(exchange);
      return connection;
    },
    /** How many there are, and how many of them are idle. */
    count: () => ({ open: open.size, idle: idle.count() }),
    close: () => open.forEach((connection) => connection.close()),
  };
}
