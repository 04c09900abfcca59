import type { Body, RelayHandOver } from "./body.ts";

/*
 * How a request may use a hand-over of KV. A prefill engine's `kv_transfer_params` belong to one prompt and may be used
 * once. vLLM applies those of a request to each of its prompts and to each of its choices, and checks nothing: handed the
 * KV of another prompt it answers that one, or dies of it, and handed it again it reads blocks that were freed.
 */

/** A longer list of prompts is not split: each piece is a prefill and a decode of its own. */
const splitMax = 128;

export type Alone = "several_choices" | "several_prompts";

export type Way =
  /** One prompt, one choice: prefill, then decode. */
  | { readonly kind: "pair" }
  /** To a decode engine alone, which computes the prompt's KV itself: right, but slower, and a load on decode. */
  | { readonly kind: "alone"; readonly why: Alone }
  /** Each prompt by itself – alone, with `why` – and the answers put together. */
  | { readonly kind: "split"; readonly bodies: readonly Body[]; readonly why?: Alone };

export function wayOf(path: string, body: Body, handOver: RelayHandOver): Way {
  // Decode finds the KV of each prompt in the store by itself.
  if (handOver === "store") return { kind: "pair" };
  const choices: { why?: Alone } = hasSeveralChoices(body) ? { why: "several_choices" } : {};
  if (path !== "/v1/completions" || countPrompts(body) <= 1)
    return choices.why ? { kind: "alone", why: choices.why } : { kind: "pair" };
  const { prompt } = body;
  const canSplit =
    Array.isArray(prompt) && prompt.length <= splitMax && !isGiven(body, "prompt_embeds");
  // The events of several streams would have to be rewritten and woven into one.
  if (!canSplit || isGiven(body, "stream")) return { kind: "alone", why: "several_prompts" };
  const bodies = prompt.map((one: unknown) => ({ ...body, prompt: one }));
  return { kind: "split", bodies, ...choices };
}

/** vLLM takes "2" for 2, so whatever is not plainly one counts as several. */
function hasSeveralChoices(body: Body): boolean {
  const isOne = (key: string) => !isGiven(body, key) || body[key] === 1;
  return !isOne("n") || !isOne("best_of") || isGiven(body, "use_beam_search");
}

/** A list of numbers is one prompt of token ids; a list of anything else has a prompt in each item. */
function countPrompts({ prompt, prompt_embeds: embeds }: Body): number {
  const texts = Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
  const vectors = Array.isArray(embeds) ? embeds.length : 1;
  return (prompt === undefined || prompt === null ? 0 : texts) + (embeds ? vectors : 0);
}

const isGiven = (body: Body, key: string): boolean =>
  body[key] !== undefined && body[key] !== null && body[key] !== false;

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
