import { setTimeout as sleep } from "node:timers/promises";
import type { Prompt } from "./prompts.ts";
import { tokenAt } from "./text.ts";

/** One validated request. */
export interface Generation {
  readonly id: string;
  readonly kind: "completion" | "chat";
  readonly model: string;
  readonly prompts: readonly (Prompt & { readonly maxTokens: number })[];
  /** For each prompt. */
  readonly choices: number;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly usageAtEnd: boolean;
  readonly usageAlways: boolean;
  readonly kvParams: Readonly<Record<string, unknown>> | null;
}

export type FinishReason = "stop" | "length" | "abort";

export interface Piece {
  readonly token: string;
  /** With the last one. */
  readonly finish: FinishReason | null;
  readonly stopReason: string | null;
}

interface Text {
  readonly model: string;
  /** The prompt whose KV the engine really has: its own, unless it was handed another's. */
  readonly heardAs: string;
  readonly maxTokens: number;
  readonly stop: readonly string[];
}

/** Yields the tokens of one choice at the simulated pace; the last piece says why it ended. */
export async function* generate(
  { model, heardAs, maxTokens, stop }: Text,
  tokenMs: number,
): AsyncGenerator<Piece, void> {
  let text = "";
  for (let index = 0; index < maxTokens; index++) {
    if (tokenMs > 0) await sleep(tokenMs);
    const token = tokenAt(model, heardAs, index);
    text += token;
    const stopReason = stop.find((word) => text.includes(word)) ?? null;
    if (stopReason !== null) return yield { token: "", finish: "stop", stopReason };
    yield { token, finish: index + 1 === maxTokens ? "length" : null, stopReason: null };
  }
}
