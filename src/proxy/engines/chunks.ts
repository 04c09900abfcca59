import { carriageReturn, isText, lineFeed } from "./characters.ts";
import { malformed } from "./head.ts";

/** Of the line before a chunk: its size, and extensions that nobody uses. */
const sizeLineMax = 256;
/** Hexadecimal digits of a size; four gigabytes are more than any chunk has. */
const sizeDigitsMax = 8;
/** After the last chunk; what is there is passed over. */
const trailerBytesMax = 16 * 1024;

const semicolon = 0x3b;

type State =
  | "size"
  | "extension"
  | "sizeEnd"
  | "data"
  | "dataReturn"
  | "dataEnd"
  | "trailerStart"
  | "trailer"
  | "trailerLineEnd"
  | "end"
  | "over";

/** A body in chunks (RFC 9112, 7.1), in pieces that may be cut anywhere. */
export class ChunkReader {
  #state: State = "size";
  #size = 0;
  #digits = 0;
  #lineBytes = 0;
  #trailerBytes = 0;

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Reads on, and calls back with what belongs to the body. Answers with the index after what it has read. */
  read(bytes: Buffer, start: number, onPiece: (piece: Buffer) => void): number | Error {
    let at = start;
    while (at < bytes.length && this.#state !== "over") {
      if (this.#state === "data") {
        const end = Math.min(bytes.length, at + this.#size);
        this.#size -= end - at;
        if (this.#size === 0) this.#state = "dataReturn";
        onPiece(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
        at = end;
      } else {
        const error = this.#step(bytes[at] as number);
        if (error) return error;
        at += 1;
      }
    }
    return at;
  }

  #step(byte: number): Error | undefined {
    switch (this.#state) {
      case "size":
        return this.#readSize(byte);
      case "extension":
        return this.#readExtension(byte);
      case "sizeEnd":
        this.#digits = 0;
        this.#lineBytes = 0;
        return this.#expect(byte, lineFeed, this.#size === 0 ? "trailerStart" : "data");
      case "dataReturn":
        return this.#expect(byte, carriageReturn, "dataEnd");
      case "dataEnd":
        return this.#expect(byte, lineFeed, "size");
      case "trailerStart":
        return byte === carriageReturn ? this.#goTo("end") : this.#readTrailer(byte);
      case "trailer":
        return this.#readTrailer(byte);
      case "trailerLineEnd":
        return this.#expect(byte, lineFeed, "trailerStart");
      case "end":
        return this.#expect(byte, lineFeed, "over");
      case "data":
      case "over":
        return undefined;
    }
  }

  #goTo(state: State): undefined {
    this.#state = state;
  }

  #expect(byte: number, expected: number, next: State): Error | undefined {
    if (byte !== expected) return malformed("a chunk or its size does not end where it should");
    return this.#goTo(next);
  }

  #readSize(byte: number): Error | undefined {
    const digit = digitOf(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#size = this.#size * 16 + digit;
      return this.#digits > sizeDigitsMax ? malformed("a chunk that is too large") : undefined;
    }
    if (this.#digits === 0) return malformed("a chunk without a size");
    if (byte === carriageReturn) return this.#goTo("sizeEnd");
    if (byte === semicolon) return this.#goTo("extension");
    return malformed("a chunk's size that is no number");
  }

  #readExtension(byte: number): Error | undefined {
    if (byte === carriageReturn) return this.#goTo("sizeEnd");
    this.#lineBytes += 1;
    if (this.#lineBytes > sizeLineMax) return malformed("a chunk with too long an extension");
    return isText(byte) ? undefined : malformed("a control character beside a chunk's size");
  }

  #readTrailer(byte: number): Error | undefined {
    this.#trailerBytes += 1;
    if (this.#trailerBytes > trailerBytesMax) return malformed("too many trailers");
    if (byte === carriageReturn) return this.#goTo("trailerLineEnd");
    return isText(byte) ? this.#goTo("trailer") : malformed("a control character in a trailer");
  }
}

/** Of a hexadecimal digit, or -1. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
