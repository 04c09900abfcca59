import { carriageReturn, isText, lineFeed } from "./characters.ts";
import { ChunkReader } from "./chunks.ts";
import { malformed, readHead } from "./head.ts";
import type { AnswerHead, Framing } from "./head.ts";

/*
 * Reads one answer to one POST, in pieces that may be cut anywhere: what comes of it is the same however they are. Anything
 * that could be read in two ways is an error. Without I/O, and without a copy of a body's bytes.
 */

/** Bytes of all heads of an answer together, those with a status below 200 included. */
const headBytesMax = 64 * 1024;

const beginning = Buffer.from("HTTP/1.");
const finalMin = 200;
const switching = 101;
const nothing: Buffer = Buffer.alloc(0);

/** Who is told of an answer. */
export interface Reader {
  /** Once: of the final answer, not of those before it ("Continue", say). */
  onHead(head: AnswerHead): void;
  /** Never empty, and a part of what was read: whoever keeps it keeps that. */
  onPiece(piece: Buffer): void;
}

export class AnswerParser {
  readonly #reader: Reader;
  readonly #onPiece: (piece: Buffer) => void;
  #head: AnswerHead | undefined;
  /** Of a head that is not whole yet: what has come of it, and what is known of its last line. */
  #begun: Buffer = nothing;
  #headBytes = 0;
  #lineBytes = 0;
  #afterReturn = false;
  /** Of a body with a length: what is still to come. */
  #left = 0;
  #chunks: ChunkReader | undefined;
  #isDone = false;
  #hasExcess = false;

  constructor(reader: Reader) {
    this.#reader = reader;
    this.#onPiece = (piece) => reader.onPiece(piece);
  }

  get head(): AnswerHead | undefined {
    return this.#head;
  }

  /** For how long the connection may wait for another request: 0 = not at all. More may have come than the answer. */
  get keepMs(): number {
    return this.#isDone && !this.#hasExcess ? (this.#head?.keepMs ?? 0) : 0;
  }

  /** `done`: the answer has ended. After that, or an error, there is nothing to be read any more. */
  read(bytes: Buffer): "more" | "done" | Error {
    let at: number | Error = 0;
    while (!this.#head && at < bytes.length) {
      at = this.#readHead(bytes, at);
      if (at instanceof Error) return at;
    }
    if (!this.#head) return "more";
    at = this.#readBody(this.#head.framing, bytes, at);
    if (at instanceof Error) return at;
    this.#hasExcess = at < bytes.length;
    return this.#isDone ? "done" : "more";
  }

  /** The engine closes the connection: the end of some answers, and of no other. */
  close(): "done" | Error {
    if (!this.#head)
      return new Error(
        this.#headBytes === 0
          ? "it closed the connection before its answer"
          : "it closed the connection in the middle of its answer's headers",
      );
    if (this.#head.framing !== "close")
      return new Error("it closed the connection before the end of its answer");
    this.#isDone = true;
    return "done";
  }

  /** Up to the end of a head, or of what is there. Answers with the index after it. */
  #readHead(bytes: Buffer, start: number): number | Error {
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      const fault = this.#faultOf(byte);
      if (fault !== undefined) return malformed(fault);
      this.#headBytes += 1;
      if (byte === lineFeed) {
        if (this.#lineBytes === 0) return this.#endHead(bytes.subarray(start, at + 1)) ?? at + 1;
        this.#lineBytes = 0;
      } else if (byte !== carriageReturn) this.#lineBytes += 1;
      this.#afterReturn = byte === carriageReturn;
    }
    const part = bytes.subarray(start);
    this.#begun = this.#begun.length === 0 ? part : Buffer.concat([this.#begun, part]);
    return bytes.length;
  }

  /** What keeps the next byte from being one of a head: told at once, since the rest of it may never come. */
  #faultOf(byte: number): string | undefined {
    if (this.#headBytes === headBytesMax) return `headers of more than ${headBytesMax} bytes`;
    if (this.#headBytes < beginning.length && byte !== beginning[this.#headBytes])
      return "it does not begin with HTTP/1.";
    if (this.#afterReturn !== (byte === lineFeed)) return "a line that does not end with CR and LF";
    if (!isText(byte) && byte !== carriageReturn && byte !== lineFeed)
      return "a control character in its headers";
    return undefined;
  }

  #endHead(last: Buffer): Error | undefined {
    const whole = this.#begun.length === 0 ? last : Buffer.concat([this.#begun, last]);
    this.#begun = nothing;
    this.#afterReturn = false;
    // Without the end of its last line, and the empty one.
    const head = readHead(whole.toString("latin1", 0, Math.max(0, whole.length - 4)));
    if (head instanceof Error) return head;
    if (head.status === switching) return malformed("it switches to another protocol");
    if (head.status < finalMin) return undefined;
    this.#head = head;
    if (head.framing === "chunks") this.#chunks = new ChunkReader();
    else if (head.framing === 0) this.#isDone = true;
    else if (head.framing !== "close") this.#left = head.framing;
    this.#reader.onHead(head);
    return undefined;
  }

  #readBody(framing: Framing, bytes: Buffer, start: number): number | Error {
    if (start === bytes.length || this.#isDone) return start;
    if (this.#chunks) {
      const end = this.#chunks.read(bytes, start, this.#onPiece);
      this.#isDone = this.#chunks.isOver;
      return end;
    }
    const end = framing === "close" ? bytes.length : Math.min(bytes.length, start + this.#left);
    if (framing !== "close") {
      this.#left -= end - start;
      this.#isDone = this.#left === 0;
    }
    this.#reader.onPiece(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    return end;
  }
}
