import { hasAbortedChoice, parseBody } from "../bytes/body.ts";
import type { Body } from "../bytes/body.ts";
import { dataOf, readError } from "./opening.ts";

/** How a stream has ended, by its last events. Its connection ends in one and the same way in all of these cases. */
export type Ending =
  | "done"
  /** The engine says so itself: an error event. */
  | "failed"
  /** With a `finish_reason` that clients take for an end like any other: the engine was shutting down, or lost the KV. */
  | "aborted"
  /** Without `[DONE]`: whoever wrote it is gone. */
  | "cut";

/** Of a stream's last bytes. The events with finish reasons, usage and `[DONE]` are shorter. */
const tailBytesMax = 16 * 1024;
const doneText = "[DONE]";
const doneEvent = Buffer.from(`data: ${doneText}`);
const closeList = 0x5d;
const newline = 0x0a;

/** `text` may begin in the middle of an event, which then says nothing. */
export function endingOf(text: string): Ending {
  const events = text.split(/\r?\n\r?\n/).map(dataOf);
  const bodies = events.flatMap((data) => {
    const body = data === undefined ? undefined : parseBody(data);
    return body ? [body] : [];
  });
  if (bodies.some(isFailure)) return "failed";
  if (bodies.some(hasAbortedChoice)) return "aborted";
  return events.some((data) => data?.trim() === doneText) ? "done" : "cut";
}

/** A client's mistake is an end like any other. */
const isFailure = ({ error }: Body): boolean =>
  error !== undefined && error !== null && readError(error).kind === "failed";

/** Looks at two bytes alone: events end with `}` but for `[DONE]`, and there is one piece for each token. */
export function mayEndWithDone(piece: Buffer): boolean {
  let at = piece.length - 1;
  while (at > 0 && piece[at] === newline) at -= 1;
  return piece[at] === closeList;
}

/** The piece without a `[DONE]` at its end. */
export function withoutDone(piece: Buffer): Buffer {
  const at = piece.lastIndexOf(doneEvent);
  return at < 0 ? piece : piece.subarray(0, at);
}

/** Of the tail of a short stream; it grows with the stream, up to the last. */
const tailRoom = { first: 2 * 1024, last: tailBytesMax + 8 * 1024 };

/** The last bytes of a stream. They are copied: a piece for each token, kept for as long, would be much work to collect. */
export function createTail() {
  let room = Buffer.allocUnsafe(tailRoom.first);
  let size = 0;

  function makeRoom(bytes: number): void {
    if (size + bytes <= room.length) return;
    const from = Math.max(0, size - tailBytesMax);
    const old = room;
    if (size - from + bytes > room.length)
      room = Buffer.allocUnsafe(Math.min(tailRoom.last, (size - from + bytes) * 2));
    size = old.copy(room, 0, from, size);
  }

  return {
    add(piece: Buffer): void {
      const last = piece.length > tailBytesMax ? piece.subarray(-tailBytesMax) : piece;
      makeRoom(last.length);
      size += last.copy(room, size);
    },
    text: (): string => room.toString("utf8", Math.max(0, size - tailBytesMax), size),
  };
}
