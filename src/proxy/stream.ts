import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Member } from "../domain/observed.ts";
import type { OpenStream } from "./outcome.ts";
import { forwarded } from "./legs.ts";

interface Passing {
  readonly response: ServerResponse;
  /** Aborts when the client leaves, or when we stop. */
  readonly ended: AbortSignal;
  readonly idleTimeoutMs: number;
}

/** Passes a stream on as bytes. Answers with what broke it, or undefined at its proper end. */
export async function passOn(
  { member, status, headers, opening, read }: OpenStream,
  { response, ended, idleTimeoutMs }: Passing,
): Promise<Error | undefined> {
  response.writeHead(status, forwarded(headers));
  let ending: Buffer = Buffer.alloc(0);
  for (let piece: Buffer | undefined = opening; piece;) {
    ending = piece.length > 1 ? piece.subarray(-2) : Buffer.concat([ending, piece]).subarray(-2);
    if (!response.write(piece))
      await once(response, "drain", { signal: ended }).catch(() => undefined);
    const next: Buffer | Error | undefined = await read(idleTimeoutMs);
    const broken = ended.aborted ? (ended.reason as Error) : next;
    if (broken instanceof Error) {
      const error = ended.aborted ? broken : failureOf(member, broken);
      endWithError(response, error, ending);
      return error;
    }
    piece = broken;
  }
  response.end();
  return undefined;
}

const failureOf = ({ name }: Member, { message }: Error): Error =>
  new Error(`${name} failed in the middle of the answer: ${message}`);

/** Nothing can be retried once the first byte is out, so an error is an explicit last event. */
function endWithError(response: ServerResponse, { message }: Error, ending: Buffer): void {
  if (response.destroyed) return;
  // Half an event may be out: without its end ours would be read as a part of it.
  const gap = ending.length === 0 || ending.toString() === "\n\n" ? "" : "\n\n";
  const error = { message, type: "InternalServerError", code: 500 };
  response.end(`${gap}data: ${JSON.stringify({ error })}\n\n`);
}
