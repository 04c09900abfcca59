import type { Socket } from "node:net";
import type { Endpoint } from "./endpoint.ts";

/** Up to here head and body are copied into one piece, which costs less than a second one on its way to the kernel. */
const oneWriteMax = 32 * 1024;

/** Whatever else is in a value would end the header, or become something else in latin1. */
const good = /^[\t\x20-\x7e\x80-\xff]*$/;

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** Headers as lines. Names are those of a parser or our own; a value that is not one line is an error. */
export function headerLines(headers: Headers, but: readonly string[] = []): string | Error {
  let lines = "";
  for (const name in headers) {
    if (but.includes(name)) continue;
    const value = headers[name] as string | readonly string[];
    for (const one of typeof value === "string" ? [value] : value) {
      if (!good.test(one))
        return new Error(`The header ${name} has characters that no header has.`);
      lines += `${name}: ${one}\r\n`;
    }
  }
  return lines;
}

/** A POST of JSON, from its first line to the empty one. `lines` are its other end-to-end headers. */
export const postHead = (
  path: string,
  { authority }: Endpoint,
  lines: string,
  bodyBytes: number,
): string =>
  `POST ${path} HTTP/1.1\r\nhost: ${authority}\r\nconnection: keep-alive\r\ncontent-type: application/json\r\n${lines}content-length: ${bodyBytes}\r\n\r\n`;

export function sizeOf(parts: readonly Buffer[]): number {
  let size = 0;
  for (const { length } of parts) size += length;
  return size;
}

/** `head` has latin1 characters alone. A large body goes as it is: a copy would cost more than the parts. */
export function writeRequest(socket: Socket, head: string, body: readonly Buffer[]): void {
  const size = head.length + sizeOf(body);
  if (size > oneWriteMax) {
    socket.cork();
    socket.write(head, "latin1");
    for (const part of body) socket.write(part);
    socket.uncork();
    return;
  }
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.write(head, "latin1");
  for (const part of body) at += part.copy(bytes, at);
  socket.write(bytes);
}
