import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { Gone } from "../../src/proxy/answer/gone.ts";
import { Answer } from "../../src/proxy/answer/answer.ts";
import type { Endpoint } from "../../src/proxy/engines/endpoint.ts";
import type { createExchanges } from "../../src/proxy/engines/exchanges.ts";
import type { AnswerHead } from "../../src/proxy/engines/head.ts";
import { postHead } from "../../src/proxy/engines/request.ts";

/** One request that came, whole. */
export interface Came {
  readonly text: string;
  readonly socket: Socket;
  /** Of the connection, in the order in which they came. */
  readonly connection: number;
}

export interface RawEngine {
  readonly endpoint: Endpoint;
  readonly came: Came[];
  /** Connections that are open now. */
  readonly open: Set<Socket>;
  readonly connections: () => number;
  readonly reads: () => number;
  close(): void;
}

/** An engine that sees bytes, and answers with bytes. */
export async function rawEngine(onRequest: (came: Came) => void): Promise<RawEngine> {
  const came: Came[] = [];
  const open = new Set<Socket>();
  let connections = 0;
  let reads = 0;
  const server = createServer((socket) => {
    const connection = connections++;
    let bytes = Buffer.alloc(0);
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => open.delete(socket));
    socket.on("data", (part) => {
      reads += 1;
      bytes = Buffer.concat([bytes, part]);
      const end = bytes.indexOf("\r\n\r\n") + 4;
      const [, length] = /content-length: (\d+)/.exec(bytes.toString("latin1")) ?? [];
      if (end < 4 || bytes.length < end + Number(length)) return;
      const one = { text: bytes.toString("latin1"), socket, connection };
      bytes = Buffer.alloc(0);
      came.push(one);
      onRequest(one);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { host: "127.0.0.1", port, authority: `127.0.0.1:${port}` },
    came,
    open,
    connections: () => connections,
    reads: () => reads,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

export const whole = (body: string, lines = ""): string =>
  `HTTP/1.1 200 OK\r\n${lines}content-length: ${body.length}\r\n\r\n${body}`;

/** Asks, and answers with the head, or with what kept it from coming. */
export function ask(
  exchanges: ReturnType<typeof createExchanges>,
  endpoint: Endpoint,
  { body = "{}", gone = new Gone(), headersTimeoutMs = 60_000, pieceTimeoutMs = 60_000 } = {},
): { readonly answer: Answer; readonly begun: Promise<AnswerHead | Error> } {
  const bytes = Buffer.from(body, "latin1");
  let begin: (head: AnswerHead | Error) => void;
  const begun = new Promise<AnswerHead | Error>((resolve) => (begin = resolve));
  const answer = new Answer(gone, (head) => begin(head));
  const head = postHead("/v1/completions", endpoint, "", bytes.length);
  answer.comesFrom(
    exchanges.begin(endpoint, {
      head,
      body: [bytes],
      headersTimeoutMs,
      pieceTimeoutMs,
      receiver: answer,
    }),
  );
  return { answer, begun };
}
