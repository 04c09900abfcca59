import { request } from "undici";
import { expectedText } from "../../src/sim/text.ts";
import type { JobSpec } from "../../src/domain/spec.ts";

const tokens = 120;

/** What clients of steady streams saw. Times in milliseconds. */
export interface Seen {
  streams: number;
  failed: string[];
  truncated: string[];
  /** Between two pieces of one stream. */
  longestStallMs: number;
}

/** So many streams at any time, one after the other in each lane, each compared word for word, until stopped. */
export function startStreams({ scheduler }: JobSpec, lanes: number) {
  const seen: Seen = { streams: 0, failed: [], truncated: [], longestStallMs: 0 };
  let stopping = false;

  async function stream(prompt: string): Promise<void> {
    const answer = await request(`http://127.0.0.1:${scheduler.port}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "sim", prompt, max_tokens: tokens, stream: true }),
    });
    let text = "";
    let lastMs: number | undefined;
    for await (const piece of answer.body) {
      const nowMs = performance.now();
      if (lastMs !== undefined) seen.longestStallMs = Math.max(seen.longestStallMs, nowMs - lastMs);
      lastMs = nowMs;
      text += String(piece);
    }
    if (answer.statusCode !== 200 || text.includes('data: {"error"'))
      seen.failed.push(`${answer.statusCode}: ${text.slice(-200)}`);
    else if (wordsOf(text) !== expectedText("sim/tiny", prompt, tokens))
      seen.truncated.push(`${prompt}: ${text.length} bytes`);
    seen.streams += 1;
  }

  async function lane(number: number): Promise<void> {
    for (let turn = 0; !stopping; turn++)
      await stream(`stream ${number} turn ${turn}`).catch(
        (error: Error) => void seen.failed.push(error.message),
      );
  }

  const running = Array.from({ length: lanes }, (_, number) => lane(number));
  return {
    async stop(): Promise<Seen> {
      stopping = true;
      await Promise.all(running);
      return seen;
    },
  };
}

const wordsOf = (text: string): string =>
  text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice("data: ".length)).choices[0]?.text ?? "")
    .join("");
