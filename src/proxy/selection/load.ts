import { valueOf } from "../bytes/edit.ts";
import type { JsonObject } from "../bytes/json.ts";

/*
 * How much work a request is, guessed before anybody has read it. Nothing is tokenized here: that would cost more than
 * the rest of the proxy's work. So the numbers compare requests, and promise nothing about any of them: text in other
 * alphabets has fewer bytes a token or more, an image's base64 counts as if it were text, and an answer may end long
 * before its limit. Each part is capped, so that no single request hides all others.
 */

/** English text; what else is in the body (keys, roles, tools) counts the same. */
const bytesPerToken = 4;
/** About the longest context that is served; a larger body is images rather than text. */
const promptTokensMax = 131_072;
/** Of a request that names no limit: most answers are about as long. */
const answerTokensAssumed = 512;
/** A client that always asks for the largest number gets no more answer than others. */
const answerTokensMax = 4_096;

/** In tokens, as far as a proxy can tell. */
export interface Estimate {
  readonly prompt: number;
  readonly answer: number;
}

export function estimateOf(body: JsonObject): Estimate {
  const asked = valueOf(body, "max_completion_tokens") ?? valueOf(body, "max_tokens");
  const answer = typeof asked === "number" && asked >= 1 ? asked : answerTokensAssumed;
  return {
    prompt: Math.min(Math.ceil(body.bytes.length / bytesPerToken), promptTokensMax),
    answer: Math.min(Math.ceil(answer), answerTokensMax),
  };
}
