/** Small blocks, so that prompts of moderate length fill several: ExampleConnector moves whole blocks only. */
export const blockSize = 32;

/** Greedy, and with the tokens' ids, so that answers are compared exactly. */
export const tokensAsked = {
  max_tokens: 24,
  temperature: 0,
  ignore_eos: true,
  return_token_ids: true,
} as const;

const words =
  "the quick brown fox jumps over a lazy dog while prefill and decode share one cache of keys and values".split(
    " ",
  );

/** Prompts of 40 to 116 words, none of which begins like another: no engine can answer one from another's cache. */
const numbered = (first: number, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) =>
    Array.from({ length: 40 + index * 4 }, (__, at) => {
      const word = words[(index * 5 + at * (index + 1)) % words.length] ?? "";
      return at === 0 ? `${first + index}. ${word}` : word;
    }).join(" "),
  );

export const prompts = numbered(0, 20);

/** Twenty others, for engines that have the first ones in their caches. */
export const freshPrompts = numbered(20, 20);
