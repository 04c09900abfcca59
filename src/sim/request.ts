import { randomBytes } from "node:crypto";
import type { Generation } from "./generate.ts";
import type { EngineOptions } from "./options.ts";
import { countTokens, renderChat } from "./text.ts";
import type { ChatMessage } from "./text.ts";

export interface RequestProblem {
  readonly status: number;
  readonly message: string;
  readonly type: string;
}

const defaultMaxTokens = 16;

/** Validates a completion or chat request as vLLM's frontend does. */
export function readRequest(
  kind: Generation["kind"],
  text: string,
  options: EngineOptions,
): Generation | RequestProblem {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return bad("JSON decode error");
  }
  if (typeof body !== "object" || body === null) return bad("Input should be a valid dictionary");
  const model = body["model"] ?? options.servedModelNames[0];
  if (typeof model !== "string" || !options.servedModelNames.includes(model)) {
    return {
      status: 404,
      message: `The model \`${String(model)}\` does not exist.`,
      type: "NotFoundError",
    };
  }
  const prompt = promptOf(kind, body);
  if (prompt === undefined)
    return bad(kind === "chat" ? "messages: Field required" : "prompt: Field required");
  const maxTokens = body["max_completion_tokens"] ?? body["max_tokens"] ?? defaultMaxTokens;
  if (!Number.isInteger(maxTokens) || (maxTokens as number) < 1)
    return bad(`max_tokens must be at least 1, got ${String(maxTokens)}.`);
  const promptTokens = countTokens(prompt);
  if (promptTokens + (maxTokens as number) > options.maxModelLen) {
    return bad(`This model's maximum context length is ${options.maxModelLen} tokens.`);
  }
  const stop = body["stop"];
  return {
    id: `${kind === "chat" ? "chatcmpl" : "cmpl"}-${randomBytes(8).toString("hex")}`,
    kind,
    model,
    prompt,
    promptTokens,
    maxTokens: maxTokens as number,
    choices: Number.isInteger(body["n"]) ? (body["n"] as number) : 1,
    stop: typeof stop === "string" ? [stop] : Array.isArray(stop) ? stop.map(String) : [],
    stream: body["stream"] === true,
    includeUsage:
      (body["stream_options"] as { include_usage?: unknown } | undefined)?.include_usage === true,
    kvParams: (body["kv_transfer_params"] ?? null) as Generation["kvParams"],
  };
}

function promptOf(kind: Generation["kind"], body: Record<string, unknown>): string | undefined {
  if (kind === "chat") {
    const messages = body["messages"];
    return Array.isArray(messages) && messages.length > 0
      ? renderChat(messages as ChatMessage[])
      : undefined;
  }
  const prompt = body["prompt"];
  if (typeof prompt === "string") return prompt;
  return Array.isArray(prompt) ? prompt.join(" ") : undefined;
}

const bad = (message: string): RequestProblem => ({
  status: 400,
  message,
  type: "BadRequestError",
});
