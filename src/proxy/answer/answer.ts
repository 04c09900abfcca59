import type { Receiver } from "../engines/connection.ts";
import type { AnswerHead } from "../engines/head.ts";
import type { Gone } from "./gone.ts";

/*
 * An engine's answer, as it comes on its connection. A stream object with an iterator, a promise and a timer for every
 * token costs more than reading and writing the token, so pieces are handed over by a call. A piece that nobody takes
 * yet is held, and past `heldMax` the engine has to wait.
 */

const heldMax = 64 * 1024;
const nothing: Buffer = Buffer.alloc(0);

/** A piece, an error, or undefined: the end. After one of the last two nothing comes any more. */
export type Arrival = Buffer | Error | undefined;

export interface AnswerBody {
  /** From now on, and what is held at once. */
  each(take: (arrival: Arrival) => void): void;
  next(): Promise<Arrival>;
  whole(): Promise<Buffer | Error>;
  pause(): void;
  resume(): void;
  /** Ends it with this error, unless it is over; the connection is closed. */
  destroy(error: Error): void;
}

/** What an answer comes from. */
interface Source {
  pause(): void;
  resume(): void;
  close(): void;
}

/** One request that was sent, from the connection's side and from the reader's. */
export class Answer implements AnswerBody, Receiver {
  readonly #onBegin: (begin: AnswerHead | Error) => void;
  readonly #gone: Gone;
  #hasHead = false;
  #isOver = false;
  #end: Error | undefined;
  /** Until it is over: then the connection belongs to another answer. */
  #source: Source | undefined;
  #take: ((arrival: Arrival) => void) | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;

  /** `onBegin` is called once: with the head, or with what kept it from coming. */
  constructor(gone: Gone, onBegin: (begin: AnswerHead | Error) => void) {
    this.#gone = gone;
    this.#onBegin = onBegin;
  }

  comesFrom(source: Source): void {
    this.#source = source;
    this.#gone.onEnd(this.#leave);
  }

  onHead(head: AnswerHead): void {
    this.#hasHead = true;
    this.#onBegin(head);
  }

  onPiece(piece: Buffer): void {
    // Others of the same read may follow the one after which its reader had enough.
    if (this.#isOver) return;
    if (this.#take) return this.#take(piece);
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes > heldMax) this.pause();
  }

  onEnd(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end = error;
    this.#source = undefined;
    this.#gone.off(this.#leave);
    if (!this.#hasHead) this.#onBegin(error ?? new Error("it ended before its head"));
    this.#take?.(error);
  }

  each(take: (arrival: Arrival) => void): void {
    const held = this.#held;
    this.#release();
    this.#take = take;
    for (const piece of held) take(piece);
    if (this.#isOver) take(this.#end);
    else this.resume();
  }

  next(): Promise<Arrival> {
    const held = this.#held.length > 0 ? Buffer.concat(this.#held) : undefined;
    this.#release();
    if (held || this.#isOver) return Promise.resolve(held ?? this.#end);
    this.resume();
    return new Promise((resolve) => {
      this.#take = (arrival) => {
        this.#take = undefined;
        resolve(arrival);
      };
    });
  }

  whole(): Promise<Buffer | Error> {
    const pieces: Buffer[] = [];
    return new Promise((resolve) => {
      this.each((arrival) => {
        if (Buffer.isBuffer(arrival)) pieces.push(arrival);
        else
          resolve(
            arrival ?? (pieces.length === 1 ? (pieces[0] ?? nothing) : Buffer.concat(pieces)),
          );
      });
    });
  }

  pause(): void {
    this.#source?.pause();
  }

  resume(): void {
    this.#source?.resume();
  }

  destroy(error: Error): void {
    this.#source?.close();
    this.onEnd(error);
  }

  readonly #leave = (): void => this.destroy(this.#gone.reason ?? new Error("it is over"));

  #release(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}
