import type { Generation } from "./generate.ts";
import { isProblem, refused, unreadable } from "./problem.ts";
import type { RequestProblem } from "./problem.ts";
import { renderChat, tokensOf } from "./text.ts";
import type { ChatMessage } from "./text.ts";

/** One prompt of a request: what the simulated model goes by, and its tokens. */
export interface Prompt {
  readonly text: string;
  readonly tokens: readonly string[];
  /** Given as token ids, so that no tokenizer is needed. */
  readonly isIds: boolean;
}

/** A text, several texts, token ids, or several lists of them; or the messages of a chat. */
export function readPrompts(
  kind: Generation["kind"],
  body: Readonly<Record<string, unknown>>,
): readonly Prompt[] | RequestProblem {
  if (kind === "chat") return chatPrompt(body["messages"]);
  const prompt = body["prompt"] ?? "";
  const all = isIds(prompt) || !Array.isArray(prompt) ? [prompt] : (prompt as readonly unknown[]);
  const prompts: Prompt[] = [];
  for (const one of all) {
    const read = onePrompt(one);
    if (isProblem(read)) return read;
    prompts.push(read);
  }
  return prompts;
}

/** Why a prompt leaves no room for an answer. vLLM reads no further than one token past the limit. */
export function tooLong({ tokens }: Prompt, maxModelLen: number): RequestProblem | undefined {
  if (tokens.length < maxModelLen) return undefined;
  if (tokens.length === maxModelLen)
    return refused("max_tokens must be at least 1, got 0.", "max_tokens", 0);
  const read = maxModelLen + 1;
  const message =
    `This model's maximum context length is ${maxModelLen} tokens. However, your prompt contains at least ${read} input tokens, ` +
    "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.";
  return refused(message, "input_tokens", read);
}

function onePrompt(prompt: unknown): Prompt | RequestProblem {
  if (isIds(prompt)) return { text: prompt.join(" "), tokens: prompt.map(String), isIds: true };
  if (typeof prompt === "string" && prompt !== "")
    return { text: prompt, tokens: tokensOf(prompt), isIds: false };
  return refused("Either prompt or prompt_embeds must be provided and non-empty.", "prompt");
}

function chatPrompt(messages: unknown): readonly Prompt[] | RequestProblem {
  if (!Array.isArray(messages))
    return unreadable({ type: "missing", at: ".messages", why: "Field required" });
  if (messages.length === 0) {
    const message = "Cannot apply chat template to an empty conversation.";
    return refused(`${message} Provide at least one message.`);
  }
  const text = renderChat(messages as readonly ChatMessage[]);
  return [{ text, tokens: tokensOf(text), isIds: false }];
}

const isIds = (prompt: unknown): prompt is readonly number[] =>
  Array.isArray(prompt) && prompt.length > 0 && prompt.every((one) => Number.isInteger(one));
