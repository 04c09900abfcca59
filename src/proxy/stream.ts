import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Member } from "../domain/observed.ts";
import { createTail, endingOf, mayEndWithDone, withoutDone } from "./ending.ts";
import type { OpenStream } from "./outcome.ts";
import { forwarded } from "./legs.ts";

interface Passing {
  readonly response: ServerResponse;
  /** Aborts when the client leaves, or when we stop. */
  readonly ended: AbortSignal;
  readonly idleTimeoutMs: number;
}

/** What broke a stream. `silent`: the engine's own bytes would have passed for a whole answer. */
export interface Broken {
  readonly error: Error;
  readonly silent?: "abort" | "cut";
}

/** Passes a stream on as bytes. Answers with what broke it, or undefined at its proper end. */
export async function passOn(
  { member, status, headers, opening, read }: OpenStream,
  { response, ended, idleTimeoutMs }: Passing,
): Promise<Broken | undefined> {
  response.writeHead(status, forwarded(headers));
  const tail = createTail();
  let ending: Buffer = Buffer.alloc(0);
  for (let piece = opening; ;) {
    tail.add(piece);
    const out = passable(piece, tail);
    ending = out.length > 1 ? out.subarray(-2) : Buffer.concat([ending, out]).subarray(-2);
    if (out.length > 0 && !response.write(out))
      await once(response, "drain", { signal: ended }).catch(() => undefined);
    const next = await read(idleTimeoutMs);
    const broken = ended.aborted
      ? { error: ended.reason as Error }
      : breakOf(member, next, status === 200 ? tail.text : undefined);
    if (broken === undefined && next instanceof Buffer) {
      piece = next;
      continue;
    }
    if (broken && !("isTold" in broken)) endWithError(response, broken.error, ending);
    else response.end();
    return broken;
  }
}

/** After an abort `[DONE]` would say that the answer is whole; an error says what is true instead. */
const passable = (piece: Buffer, { text }: ReturnType<typeof createTail>): Buffer =>
  mayEndWithDone(piece) && endingOf(text()) === "aborted" ? withoutDone(piece) : piece;

/** What is wrong once there is no next piece. */
function breakOf(
  member: Member,
  next: Buffer | Error | undefined,
  tail: (() => string) | undefined,
): (Broken & { readonly isTold?: true }) | undefined {
  if (next instanceof Error) return { error: failureOf(member, next.message) };
  if (next !== undefined || !tail) return undefined;
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
