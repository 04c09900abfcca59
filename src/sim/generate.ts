import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineOptions } from "./options.ts";
import { tokenAt } from "./text.ts";

/** One validated request. */
export interface Generation {
  readonly id: string;
  readonly kind: "completion" | "chat";
  readonly model: string;
  readonly prompt: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly choices: number;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly kvParams: Readonly<Record<string, unknown>> | null;
}

export type FinishReason = "stop" | "length" | "abort";

export const fingerprint = "pdjob-simulated-engine";

/** Yields the tokens one by one at the simulated pace, and returns why it ended. */
export async function* generate(
  { prompt, maxTokens, stop }: Generation,
  { model }: EngineOptions,
  tokenMs: number,
  aborted: AbortSignal,
): AsyncGenerator<string, FinishReason> {
  let text = "";
  for (let index = 0; index < maxTokens; index++) {
    if (tokenMs > 0) await sleep(tokenMs);
    if (aborted.aborted) return "abort";
    const token = tokenAt(model, prompt, index);
    text += token;
    if (stop.some((word) => text.includes(word))) return "stop";
    yield token;
  }
  return "length";
}

/** The body of an answer that is not streamed. */
export function wholeAnswer(
  request: Generation,
  texts: readonly string[],
  finish: FinishReason,
  kv: unknown,
) {
  const completionTokens = texts.reduce((sum, text) => sum + text.split(" ").length - 1, 0);
  const choices = texts.map((text, index) => ({
    index,
    ...(request.kind === "chat" ? { message: { role: "assistant", content: text } } : { text }),
    logprobs: null,
    finish_reason: finish,
    stop_reason: null,
  }));
  return {
    ...head(request, request.kind === "chat" ? "chat.completion" : "text_completion"),
    choices,
    usage: usage(request, completionTokens),
    kv_transfer_params: kv,
  };
}

/** Writes one server-sent event for each token of each choice, then usage when asked for, then [DONE]. */
export function chunk(
  request: Generation,
  index: number,
  token: string,
  finish: FinishReason | null,
): string {
  const delta = request.kind === "chat" ? { delta: { content: token } } : { text: token };
  const object = request.kind === "chat" ? "chat.completion.chunk" : "text_completion";
  return event({
    ...head(request, object),
    choices: [{ index, ...delta, logprobs: null, finish_reason: finish }],
  });
}

export const usageChunk = (request: Generation, completionTokens: number): string =>
  event({ ...head(request, "usage"), choices: [], usage: usage(request, completionTokens) });

export const event = (body: unknown): string => `data: ${JSON.stringify(body)}\n\n`;

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

const head = ({ id, model }: Generation, object: string) => ({
  id,
  object,
  created: Math.floor(Date.now() / 1_000),
  model,
  system_fingerprint: fingerprint,
});

const usage = ({ promptTokens }: Generation, completionTokens: number) => ({
  prompt_tokens: promptTokens,
  total_tokens: promptTokens + completionTokens,
  completion_tokens: completionTokens,
});
