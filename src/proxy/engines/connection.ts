import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Endpoint } from "./endpoint.ts";
import { legError, silence } from "./failure.ts";
import { AnswerParser } from "./parser.ts";
import type { Reader } from "./parser.ts";
import { writeRequest } from "./request.ts";

export const connectTimeoutMs = 5_000;
/** Engines close idle connections after 5 s by default; ours must be gone before. */
export const keepMsMax = 3_000;
/** Of a node that is gone without a word the kernel finds out by these. */
const probeAfterMs = 60_000;
const readBytesMax = 64 * 1024;

/** Where all connections read to: what comes is copied from here before anybody else can read. */
const arrived = Buffer.allocUnsafeSlow(readBytesMax);

/** Who gets an answer. `onEnd` is called once and is the last: with an error, or undefined at the answer's proper end. */
export interface Receiver extends Reader {
  onEnd(error: Error | undefined): void;
}

export interface Exchange {
  /** The request's head, in latin1. */
  readonly head: string;
  /** In parts. */
  readonly body: readonly Buffer[];
  /** From the request to the head of the answer. */
  readonly headersTimeoutMs: number;
  /** Between two pieces of the answer's body. */
  readonly pieceTimeoutMs: number;
  readonly receiver: Receiver;
}

/** Who has connections. Each of the three is told of the connection itself. */
export interface Owner {
  /** It may be used again, or closed. */
  onFree(connection: Connection): void;
  onClose(connection: Connection): void;
  nowMs(): number;
}

/** One connection to one engine, with one request at a time. What fails is told to the receiver, and ends the connection. */
export class Connection {
  readonly endpoint: Endpoint;
  readonly #owner: Owner;
  readonly #socket: Socket;
  #exchange: Exchange | undefined;
  #parser: AnswerParser | undefined;
  #isConnected = false;
  #isPaused = false;
  /** When it has taken too long for whatever it waits for; a timer for each would cost more than all of them. */
  #dueMs: number;

  constructor(endpoint: Endpoint, owner: Owner) {
    this.endpoint = endpoint;
    this.#owner = owner;
    this.#dueMs = owner.nowMs() + connectTimeoutMs;
    this.#socket = connect({
      host: endpoint.host,
      port: endpoint.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: probeAfterMs,
      onread: { buffer: arrived, callback: (size) => this.#onRead(size) },
    });
    this.#socket.once("connect", () => this.#onConnect());
    this.#socket.once("end", () => this.#onEnd());
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.once("close", () => {
      this.#onError(new Error("the connection was closed"));
      owner.onClose(this);
    });
  }

  /** It has no request, and neither side has ended it. */
  isFree(nowMs: number): boolean {
    return !this.#exchange && this.#socket.writable && nowMs < this.#dueMs;
  }

  ask(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#parser = new AnswerParser(exchange.receiver);
    if (this.#isConnected) this.#dueMs = this.#owner.nowMs() + exchange.headersTimeoutMs;
    writeRequest(this.#socket, exchange.head, exchange.body);
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    // Whoever waits for a slow client is not the one to blame.
    this.#dueMs = Infinity;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#dueMs = this.#owner.nowMs() + (this.#exchange?.pieceTimeoutMs ?? keepMsMax);
    this.#socket.resume();
  }

  /** Closes it; nobody is told. That is how an engine learns that nobody wants its answer any more. */
  close(): void {
    this.#exchange = undefined;
    this.#socket.destroy();
  }

  /** Ends what has taken too long. */
  look(nowMs: number): void {
    if (nowMs < this.#dueMs) return;
    const { headersTimeoutMs = 0, pieceTimeoutMs = 0 } = this.#exchange ?? {};
    if (!this.#isConnected)
      this.#fail(legError("refused", `no connection within ${connectTimeoutMs / 1_000} s`));
    else this.#fail(silence(this.#parser?.head ? pieceTimeoutMs : headersTimeoutMs));
  }

  #onConnect(): void {
    this.#isConnected = true;
    if (this.#exchange) this.#dueMs = this.#owner.nowMs() + this.#exchange.headersTimeoutMs;
  }

  /** True, for the socket: it goes on, unless it was told otherwise. */
  #onRead(size: number): true {
    const exchange = this.#exchange;
    const parser = this.#parser;
    if (!exchange || !parser) {
      // Nobody has asked for it.
      this.close();
      return true;
    }
    const bytes = Buffer.allocUnsafe(size);
    arrived.copy(bytes, 0, 0, size);
    const outcome = readSafely(parser, bytes);
    // The receiver may have closed it meanwhile.
    if (this.#exchange !== exchange) return true;
    if (outcome === "done") this.#finish(exchange, parser.keepMs);
    else if (outcome instanceof Error) this.#fail(outcome);
    else if (parser.head && !this.#isPaused)
      this.#dueMs = this.#owner.nowMs() + exchange.pieceTimeoutMs;
    return true;
  }

  #finish(exchange: Exchange, keepMs: number): void {
    this.#exchange = undefined;
    this.#parser = undefined;
    // An engine may answer before it has read the request: the rest of it would be taken for the next one's.
    if (keepMs > 0 && this.#socket.writableLength === 0) {
      this.resume();
      this.#dueMs = this.#owner.nowMs() + Math.min(keepMs, keepMsMax);
      this.#owner.onFree(this);
    } else this.#socket.destroy();
    exchange.receiver.onEnd(undefined);
  }

  #fail(error: Error): void {
    const exchange = this.#exchange;
    this.close();
    exchange?.receiver.onEnd(error);
  }

  /** The engine closes it. */
  #onEnd(): void {
    const exchange = this.#exchange;
    const outcome = this.#parser?.close();
    if (exchange && outcome === "done") this.#finish(exchange, 0);
    else this.#fail(outcome instanceof Error ? outcome : new Error("it closed the connection"));
  }

  #onError({ message }: Error): void {
    this.#fail(legError(this.#isConnected ? "dropped" : "refused", message));
  }
}

/** What a reader throws ends its own answer: from here it would end the process. */
function readSafely(parser: AnswerParser, bytes: Buffer): ReturnType<AnswerParser["read"]> {
  try {
    return parser.read(bytes);
  } catch (error) {
    return error as Error;
  }
}
