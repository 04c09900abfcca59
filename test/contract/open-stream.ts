import { Agent, request } from "undici";
import type { Reachable } from "./bed.ts";
import type { Json } from "./calls.ts";

export interface OpenStream {
  readonly status: number;
  /** What came so far. */
  text(): string;
  /** Resolves when the engine ends it, however it does. */
  readonly ended: Promise<void>;
  /** The client goes away. */
  leave(): void;
}

/** A streamed completion that is read in the background, on a connection of its own. */
export async function openStream({ url }: Reachable, body: Json): Promise<OpenStream> {
  const dispatcher = new Agent({ pipelining: 0 });
  const answer = await request(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "tiny",
      temperature: 0,
      stream: true,
      ignore_eos: true,
      ...body,
    }),
    dispatcher,
  });
  const parts: Buffer[] = [];
  answer.body.on("data", (part: Buffer) => parts.push(part));
  const ended = new Promise<void>((resolve) => {
    answer.body.once("end", resolve).once("error", () => resolve());
  });
  return {
    status: answer.statusCode,
    text: () => Buffer.concat(parts).toString("utf8"),
    ended,
    leave: () => void dispatcher.destroy(),
  };
}
