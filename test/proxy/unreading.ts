import { connect } from "node:net";
import type { Socket } from "node:net";
import { event, sse } from "./rig.ts";
import type { Answer } from "./rig.ts";

/** More than all buffers on the way hold, so that the proxy waits for its client. */
export const flood: Answer = (_, response) => {
  sse(response);
  const piece = event("x".repeat(60_000));
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
    response.once("drain", more);
  };
  more();
};

/** A client that asks, and does not read. */
export function asking(url: string, body: object): Socket {
  const text = JSON.stringify(body);
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.pause();
  socket.on("error", () => undefined);
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return socket;
}
