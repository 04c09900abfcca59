import { createConnection } from "node:net";

/** Does anybody accept connections at `host:port`? */
export function isListening(endpoint: string): Promise<boolean> {
  const [host = "", port] = endpoint.split(":");
  return new Promise((resolve) => {
    const socket = createConnection({ host, port: Number(port) });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
