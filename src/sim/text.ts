import { createHash } from "node:crypto";

const words =
  "amber birch cedar dune ember fern grove heron iris juniper kelp lark maple north otter pine quartz reed sage tide umber vale willow yarrow zephyr brook cliff delta".split(
    " ",
  );

export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
}

/**
 * The simulated model: the n-th token is a pure function of model, prompt and n. So any two engines of one model agree,
 * aggregated or split into prefill and decode, and a test knows every answer beforehand.
 */
export function tokenAt(model: string, prompt: string, index: number): string {
  const digest = createHash("sha256").update(`${model}\0${prompt}\0${index}`).digest();
  return `${words[digest.readUInt32BE(0) % words.length]} `;
}

export const expectedText = (model: string, prompt: string, tokens: number): string =>
  Array.from({ length: tokens }, (_, index) => tokenAt(model, prompt, index)).join("");

/** The simulated chat template: `<role>text` a line, then the assistant's turn. */
export const renderChat = (messages: readonly ChatMessage[]): string =>
  [...messages.map(({ role, content }) => `<${role}>${contentText(content)}`), "<assistant>"].join(
    "\n",
  );

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((part: { text?: unknown }) => (typeof part?.text === "string" ? part.text : ""))
    .join("");
}

/** The words, at least one: enough of a tokenizer for counts and whole blocks. */
export function tokensOf(prompt: string): readonly string[] {
  const found = prompt.split(/\s+/).filter(Boolean);
  return found.length > 0 ? found : [prompt];
}
