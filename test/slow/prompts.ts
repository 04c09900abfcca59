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

/** Twenty prompts, none of which begins like another: no engine can answer one from another's cache. */
export const prompts: readonly string[] = Array.from({ length: 20 }, (_, index) =>
  Array.from({ length: 40 + index * 4 }, (__, at) => {
    const word = words[(index * 5 + at * (index + 1)) % words.length] ?? "";
    return at === 0 ? `${index}. ${word}` : word;
  }).join(" "),
);
