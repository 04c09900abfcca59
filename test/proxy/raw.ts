import { connect } from "node:net";
import type { Socket } from "node:net";

/** A bare connection to a proxy, and what came back on it. */
export interface Raw {
  readonly socket: Socket;
  readonly text: () => string;
  /** The status of each answer so far. */
  readonly answers: () => readonly number[];
  /** Resolves once it is closed, whoever did it. */
  readonly closed: Promise<void>;
}

export function rawTo(url: string): Raw {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => void parts.push(part));
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  const text = () => Buffer.concat(parts).toString("latin1");
  return {
    socket,
    text,
    answers: () => [...text().matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)),
    closed: new Promise((resolve) => void socket.once("close", () => resolve())),
  };
}

/** Sends it all at once, and waits until the proxy has closed the connection. */
export async function sendRaw(url: string, bytes: string): Promise<readonly number[]> {
  const raw = rawTo(url);
  raw.socket.write(Buffer.from(bytes, "latin1"));
  await raw.closed;
  return raw.answers();
}
