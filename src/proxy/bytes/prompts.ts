import type { Body, RelayHandOver } from "./body.ts";
import { edit, textOf, valueOf } from "./edit.ts";
import { isList, isNumber, itemsOf, scanObject } from "./json.ts";
import type { JsonObject } from "./json.ts";

/*
 * How a request may use a hand-over of KV. A prefill engine's `kv_transfer_params` belong to one prompt and may be used
 * once. vLLM applies those of a request to each of its prompts and to each of its choices, and checks nothing: handed the
 * KV of another prompt it answers that one, or dies of it, and handed it again it reads blocks that were freed.
 */

/** A longer list of prompts is not split: each piece is a prefill and a decode of its own. */
const splitMax = 128;
/** Bytes that its pieces may repeat: each has everything of the request but the other prompts. */
const repeatedMax = 16 * 1024 * 1024;

/**
 * Why a decode engine computes a prompt itself. `no_kv`: prefill answered 200 and told of no KV; `no_prefill`: there was
 * no prefill engine to ask, and the policy is `decode-local`.
 */
export type Alone = "several_choices" | "several_prompts" | "no_kv" | "no_prefill";

export type Way =
  /** One prompt, one choice: prefill, then decode. */
  | { readonly kind: "pair" }
  /** To a decode engine alone, which computes the prompt's KV itself: right, but slower, and a load on decode. */
  | { readonly kind: "alone"; readonly why: Alone }
  /** Each prompt by itself – alone, with `why` – and the answers put together. */
  | { readonly kind: "split"; readonly pieces: readonly Piece[]; readonly why?: Alone };

/** One of several prompts as a request of its own. */
export interface Piece {
  /** Of its body, at most. */
  readonly bytes: number;
  /** Made when its turn comes: those of all pieces together may be a hundred times the request's own. */
  body(): JsonObject;
}

export function wayOf(path: string, body: JsonObject, handOver: RelayHandOver): Way {
  // Decode finds the KV of each prompt in the store by itself.
  if (handOver === "store") return { kind: "pair" };
  const choices: { why?: Alone } = hasSeveralChoices(body) ? { why: "several_choices" } : {};
  const prompts = promptsOf(body);
  if (path !== "/v1/completions" || prompts.count + countEmbeds(body) <= 1)
    return choices.why ? { kind: "alone", why: choices.why } : { kind: "pair" };
  const besides = body.bytes.length - (textOf(body, "prompt")?.length ?? 0);
  const canSplit =
    prompts.each &&
    prompts.count <= splitMax &&
    besides * prompts.count <= repeatedMax &&
    !isGiven(valueOf(body, "prompt_embeds"));
  // The events of several streams would have to be rewritten and woven into one.
  if (!canSplit || isGiven(valueOf(body, "stream")))
    return { kind: "alone", why: "several_prompts" };
  const pieces = prompts.each.map((prompt) => ({
    bytes: besides + prompt.length,
    body: () => ofJson(edit(body, { prompt })),
  }));
  return { kind: "split", pieces, ...choices };
}

/** vLLM takes "2" for 2, so whatever is not plainly one counts as several. */
function hasSeveralChoices(body: JsonObject): boolean {
  const isOne = (value: unknown) => !isGiven(value) || value === 1;
  const isSearch = isGiven(valueOf(body, "use_beam_search"));
  return !isOne(valueOf(body, "n")) || !isOne(valueOf(body, "best_of")) || isSearch;
}

interface Prompts {
  /** Not above `splitMax` + 1: more make no difference, and each is an object. */
  readonly count: number;
  /** The JSON text of each, when they are a list. A list of numbers is one prompt of token ids. */
  readonly each?: readonly Buffer[];
}

function promptsOf(body: JsonObject): Prompts {
  const text = textOf(body, "prompt");
  if (!text || text.toString("latin1", 0, nullText.length) === nullText) return { count: 0 };
  const [first] = itemsOf(text);
  if (!isList(text) || (first && isNumber(first))) return { count: 1 };
  const each: Buffer[] = [];
  for (const item of itemsOf(text)) if (each.push(item) > splitMax) break;
  return { count: each.length, each };
}

function countEmbeds(body: JsonObject): number {
  const embeds = valueOf(body, "prompt_embeds");
  if (Array.isArray(embeds)) return embeds.length;
  return embeds ? 1 : 0;
}

const nullText = "null";

const isGiven = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false;

/** What we put together is JSON as well. */
function ofJson(bytes: Buffer): JsonObject {
  const object = scanObject(bytes);
  if (!object) throw new Error("a body that was put together is no JSON object");
  return object;
}

/** One answer from those of a request's prompts: choices in the order of the prompts, usage in sum. */
export function mergeAnswers(answers: readonly Body[]): Body {
  const choices = answers
    .flatMap((answer) => (Array.isArray(answer["choices"]) ? (answer["choices"] as Body[]) : []))
    .map((choice, index) => ({ ...choice, index }));
  const usages = answers.flatMap((answer) => (isObject(answer["usage"]) ? [answer["usage"]] : []));
  return { ...answers[0], choices, ...(usages.length > 0 ? { usage: sum(usages) } : {}) };
}

function sum(parts: readonly Body[]): Body {
  const keys = [...new Set(parts.flatMap((part) => Object.keys(part)))];
  return Object.fromEntries(
    keys.map((key) => {
      const values = parts.map((part) => part[key]);
      const numbers = values.filter((value) => typeof value === "number");
      const objects = values.filter(isObject);
      if (numbers.length > 0) return [key, numbers.reduce((total, value) => total + value, 0)];
      return [key, objects.length > 0 ? sum(objects) : values[0]];
    }),
  );
}

const isObject = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);
