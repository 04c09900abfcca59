import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import type { Gone } from "./gone.ts";

/*
 * An engine's answer, as undici's parser finds it. A stream object with an iterator, a promise and a timer for every
 * token costs more than reading and writing the token, so pieces are handed over by a call. A piece that nobody takes
 * yet is held, and past `heldMax` the engine has to wait.
 */

const heldMax = 64 * 1024;
const nothing: Buffer = Buffer.alloc(0);

/** A piece, an error, or undefined: the end. After one of the last two nothing comes any more. */
export type Arrival = Buffer | Error | undefined;

export interface Head {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

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

type Controller = Dispatcher.DispatchController;

/** One request that was dispatched, from the parser's side and from the reader's. */
export class Answer implements AnswerBody, Dispatcher.DispatchHandler {
  readonly #onHead: (head: Head | Error) => void;
  readonly #gone: Gone;
  #hasHead = false;
  #isOver = false;
  #end: Error | undefined;
  #controller: Controller | undefined;
  #take: ((arrival: Arrival) => void) | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;

  /** `onHead` is called once: with the head, or with what kept it from coming. */
  constructor(gone: Gone, onHead: (head: Head | Error) => void) {
    this.#gone = gone;
    this.#onHead = onHead;
    gone.onEnd(this.#leave);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#gone.reason) controller.abort(this.#gone.reason);
  }

  onResponseStart(_controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return; // "Continue", say.
    this.#hasHead = true;
    this.#onHead({ status, headers });
  }

  onResponseData(controller: Controller, piece: Buffer): void {
    if (this.#take) return this.#take(piece);
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes > heldMax) controller.pause();
  }

  onResponseEnd(): void {
    this.#finish(undefined);
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#finish(error);
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
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  destroy(error: Error): void {
    this.#controller?.abort(error);
  }

  /** While it still waits for a connection there is nothing to be aborted, and nobody to wait for. */
  readonly #leave = (): void => {
    const { reason } = this.#gone;
    if (this.#controller && reason) this.#controller.abort(reason);
    else this.#finish(reason);
  };

  #finish(end: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end = end;
    this.#gone.off(this.#leave);
    if (!this.#hasHead) this.#onHead(end ?? new Error("it ended before its head"));
    this.#take?.(end);
  }

  #release(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}
