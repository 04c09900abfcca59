import type { ServerResponse } from "node:http";
import type { FinishReason, Generation, Piece } from "./generate.ts";

/** vLLM has its version and a digest of its configuration here; this says that no model answered. */
export const fingerprint = "pdjob-simulated-engine";

export interface Choice {
  readonly text: string;
  readonly finish: FinishReason;
  readonly stopReason: string | null;
}

/** The body of an answer that is not streamed: every field that vLLM 0.32 sends, in its order. */
export function wholeAnswer(
  request: Generation,
  choices: readonly Choice[],
  completionTokens: number,
  kv: unknown,
) {
  const isChat = request.kind === "chat";
  return {
    ...head(request, isChat ? "chat.completion" : "text_completion"),
    choices: choices.map((choice, index) =>
      isChat ? chatChoice(choice, index) : completionChoice(choice, index),
    ),
    service_tier: null,
    system_fingerprint: fingerprint,
    usage: {
      ...usage(request, completionTokens),
      prompt_tokens_details: null,
      completion_tokens_details: null,
    },
    ...(isChat ? { prompt_logprobs: null, prompt_token_ids: null, prompt_text: null } : {}),
    kv_transfer_params: kv,
    ec_transfer_params: null,
    metrics: null,
  };
}

const completionChoice = ({ text, finish, stopReason }: Choice, index: number) => ({
  index,
  text,
  logprobs: null,
  finish_reason: finish,
  stop_reason: stopReason,
  token_ids: null,
  prompt_logprobs: null,
  prompt_token_ids: null,
  routed_experts: null,
});

const chatChoice = ({ text, finish, stopReason }: Choice, index: number) => ({
  index,
  message: {
    role: "assistant",
    content: text,
    refusal: null,
    annotations: null,
    audio: null,
    function_call: null,
    reasoning: null,
  },
  logprobs: null,
  finish_reason: finish,
  stop_reason: stopReason,
  token_ids: null,
  routed_experts: null,
});

/** The first event of each choice of a streamed chat: who speaks. */
export const openingChunk = (request: Generation, index: number): string =>
  event({
    ...head(request, "chat.completion.chunk"),
    choices: [
      { index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null },
    ],
    prompt_token_ids: null,
    prompt_text: null,
  });

interface Progress {
  readonly index: number;
  readonly completionTokens: number;
  /** With the fingerprint, which is in a choice's last event unless usage follows. */
  readonly isSigned: boolean;
}

/** One token of one choice. */
export function chunk(
  request: Generation,
  { token, finish, stopReason }: Piece,
  { index, completionTokens, isSigned }: Progress,
): string {
  const isChat = request.kind === "chat";
  const choice = isChat
    ? {
        index,
        delta: { content: token },
        logprobs: null,
        finish_reason: finish,
        ...(finish === null ? {} : { stop_reason: stopReason }),
        token_ids: null,
      }
    : {
        index,
        text: token,
        logprobs: null,
        finish_reason: finish,
        stop_reason: stopReason,
        prompt_token_ids: null,
        token_ids: null,
      };
  return event({
    ...head(request, isChat ? "chat.completion.chunk" : "text_completion"),
    choices: [choice],
    ...(request.usageAlways ? { usage: usage(request, completionTokens) } : {}),
    ...(isSigned ? { system_fingerprint: fingerprint } : {}),
  });
}

export const usageChunk = (request: Generation, completionTokens: number): string =>
  event({
    ...head(request, request.kind === "chat" ? "chat.completion.chunk" : "text_completion"),
    choices: [],
    usage: usage(request, completionTokens),
    system_fingerprint: fingerprint,
  });

/** How a stream ends whose engine died: the status was sent long ago. */
export const failedStream = (message: string): string =>
  `${event({ error: errorOf({ status: 500, message, type: "InternalServerError", param: null }) })}${done}`;

export const done = "data: [DONE]\n\n";

const event = (body: unknown): string => `data: ${JSON.stringify(body)}\n\n`;

interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
}

export function sendError(response: ServerResponse, refusal: Refusal): void {
  sendJson(response, refusal.status, { error: errorOf(refusal) });
}

/** With a length, as vLLM sends it: only streams are chunked. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, {
      "content-length": Buffer.byteLength(text),
      "content-type": "application/json",
    })
    .end(text);
}

const errorOf = ({ status, message, type, param }: Refusal) => ({
  message,
  type,
  param,
  code: status,
});

const head = ({ id, model }: Generation, object: string) => ({
  id,
  object,
  created: Math.floor(Date.now() / 1_000),
  model,
});

function usage({ prompts }: Generation, completionTokens: number) {
  const promptTokens = prompts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + completionTokens,
    completion_tokens: completionTokens,
  };
}
