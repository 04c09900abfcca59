import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Member } from "../../domain/observed.ts";
import type { Arrival } from "./answer.ts";
import { createTail, endingOf, mayEndWithDone, withoutDone } from "./ending.ts";
import { writePiece } from "./writing.ts";
import type { Gone } from "./gone.ts";
import type { OpenStream } from "../attempt/outcome.ts";
import { endToEnd } from "../engines/end-to-end.ts";
import { silence } from "../engines/failure.ts";

interface Passing {
  readonly response: ServerResponse;
  /** Beside those of the engine. */
  readonly headers: Readonly<Record<string, string>>;
  readonly ended: Gone;
  readonly idleTimeoutMs: number;
  /** A client that takes nothing for so long has left, whatever its connection says. */
  readonly unreadMs: number;
}

/** What broke a stream. `silent`: the engine's own bytes would have passed for a whole answer. */
export interface Broken {
  readonly error: Error;
  readonly silent?: "abort" | "cut";
}

/** `isTold`: the engine's own last event says so. */
type Ended = Broken & { readonly isTold?: true };

/** Passes a stream on as bytes. Answers with what broke it, or undefined at its proper end. */
export function passOn(
  { member, visit, status, headers, opening, body }: OpenStream,
  { response, headers: own, ended, idleTimeoutMs, unreadMs }: Passing,
): Promise<Broken | undefined> {
  response.writeHead(status, Object.assign(endToEnd(headers), own));
  const tail = createTail();
  return new Promise((resolve) => {
    let [last, before] = [nothing, nothing];
    let hasBegun = false;
    let isFull = false;
    let isOver = false;
    let draining: Socket | undefined;
    let unread: NodeJS.Timeout | undefined;
    const idle = setTimeout(() => {
      // Who waits for a slow client is not the one to blame.
      if (isFull) idle.refresh();
      else body.destroy(silence(idleTimeoutMs));
    }, idleTimeoutMs);

    function pass(piece: Buffer): void {
      tail.add(piece);
      const out = passable(piece, tail);
      idle.refresh();
      if (out.length > 0) {
        [before, last] = [last, out];
        isFull = !(hasBegun ? writePiece(response, out) : response.write(out));
        hasBegun = true;
      }
      if (!isFull) return visit.asked();
      body.pause();
      if (unread) return;
      unread = setTimeout(() => response.destroy(), unreadMs);
      draining = response.socket ?? undefined;
      draining?.once("drain", goOn);
    }

    function goOn(): void {
      isFull = false;
      draining?.off("drain", goOn);
      clearTimeout(unread);
      unread = undefined;
      idle.refresh();
      visit.asked();
      body.resume();
    }

    function end(broken: Ended | undefined): void {
      if (isOver) return;
      isOver = true;
      clearTimeout(idle);
      clearTimeout(unread);
      response.off("drain", goOn);
      draining?.off("drain", goOn);
      if (broken && !broken.isTold)
        endWithError(response, broken.error, Buffer.concat([before, last]).subarray(-2));
      else response.end();
      resolve(broken);
    }

    response.on("drain", goOn);
    pass(opening);
    body.each((arrival) => {
      if (arrival instanceof Error) visit.gaveUp();
      else visit.came();
      if (ended.reason) end({ error: ended.reason });
      else if (Buffer.isBuffer(arrival)) pass(arrival);
      else end(breakOf(member, arrival, status === 200 ? tail.text : undefined));
    });
  });
}

const nothing: Buffer = Buffer.alloc(0);

/** After an abort `[DONE]` would say that the answer is whole; an error says what is true instead. */
const passable = (piece: Buffer, { text }: ReturnType<typeof createTail>): Buffer =>
  mayEndWithDone(piece) && endingOf(text()) === "aborted" ? withoutDone(piece) : piece;

/** What is wrong once there is no next piece. */
function breakOf(
  member: Member,
  next: Exclude<Arrival, Buffer>,
  tail: (() => string) | undefined,
): Ended | undefined {
  if (next instanceof Error) return { error: failureOf(member, next.message) };
  if (!tail) return undefined;
  switch (endingOf(tail())) {
    case "done":
      return undefined;
    case "failed":
      return { error: failureOf(member, "it said so itself"), isTold: true };
    case "aborted":
      return { error: failureOf(member, "it aborted the request"), silent: "abort" };
    case "cut":
      return { error: failureOf(member, "the stream ended without [DONE]"), silent: "cut" };
  }
}

const failureOf = ({ name }: Member, why: string): Error =>
  new Error(`${name} failed in the middle of the answer: ${why}`);

/** Nothing can be retried once the first byte is out, so an error is an explicit last event. */
function endWithError(response: ServerResponse, { message }: Error, ending: Buffer): void {
  if (response.destroyed) return;
  // Half an event may be out: without its end ours would be read as a part of it.
  const gap = ending.length === 0 || ending.toString() === "\n\n" ? "" : "\n\n";
  const error = { message, type: "InternalServerError", code: 500 };
  response.end(`${gap}data: ${JSON.stringify({ error })}\n\n`);
}
