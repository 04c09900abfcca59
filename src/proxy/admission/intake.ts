import type { IncomingMessage } from "node:http";
import { bodyDeadlineMs } from "./limits.ts";
import type { Pace } from "./limits.ts";

/** Why there is no body. */
export type Bodiless = "large" | "full" | "slow" | "gone";

interface Intake {
  readonly bytesMax: number;
  readonly pace: Pace;
  /** Is there room for so many bytes more beside the bodies of others? */
  readonly reserve?: (bytes: number) => boolean;
}

/** By what it says of itself, before any of it is here. */
export const isTooLarge = ({ headers }: IncomingMessage, bytesMax: number): boolean =>
  Number(headers["content-length"] ?? 0) > bytesMax;

/**
 * The body, or why there is none: `large` = more than `bytesMax`, `full` = no room for it now, and `slow` = later than `pace`
 * allows; the rest is then read and dropped, so that our answer can be read. `gone` = the client left.
 */
export function readBody(
  incoming: IncomingMessage,
  { bytesMax, pace, reserve = () => true }: Intake,
): Promise<Buffer | Bodiless> {
  if (isTooLarge(incoming, bytesMax)) {
    incoming.resume();
    return Promise.resolve("large");
  }
  return new Promise((resolve) => {
    const startedMs = performance.now();
    const parts = createParts();
    let size = 0;
    let timer: NodeJS.Timeout;

    const look = (): void => {
      const leftMs = startedMs + bodyDeadlineMs(pace, size) - performance.now();
      if (leftMs <= 0) return end("slow");
      timer = setTimeout(look, leftMs);
    };
    const take = (part: Buffer): void => {
      size += part.length;
      if (size > bytesMax) return end("large");
      if (!reserve(part.length)) return end("full");
      parts.add(part);
    };
    const end = (outcome: Buffer | Bodiless): void => {
      clearTimeout(timer);
      incoming.off("data", take);
      incoming.resume();
      // The listeners below live as long as the request, and see nothing of its body any more.
      parts.clear();
      resolve(outcome);
    };
    look();
    incoming.on("data", take);
    incoming.once("end", () => end(parts.whole()));
    incoming.once("error", () => end("gone"));
    incoming.once("close", () => end("gone"));
  });
}

/** A part is an object of more than a hundred bytes, however short: so many become one. */
const looseMax = 1_024;

/** What came of a body, in order. */
export function createParts() {
  let parts: Buffer[] = [];
  let packed = 0;
  return {
    add(part: Buffer): void {
      parts.push(part);
      if (parts.length - packed >= looseMax)
        packed = parts.push(Buffer.concat(parts.splice(packed)));
    },
    count: (): number => parts.length,
    whole: (): Buffer => (parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)),
    clear: (): void => void (parts = []),
  };
}
