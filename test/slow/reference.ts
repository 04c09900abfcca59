import { launch, untilHealthy } from "../contract/bed.ts";
import { complete } from "../contract/calls.ts";
import { blockSize, freshPrompts, prompts, tokensAsked } from "./prompts.ts";
import { bootTimeoutMs, engineEnv, vllm } from "./real.ts";

/** The ids of the tokens that were answered to each prompt. */
export type Reference = Readonly<Record<string, readonly number[]>>;

/** What one ordinary engine, without any KV transfer, answers to each prompt. */
export async function referenceAnswers(model: string, dir: string): Promise<Reference> {
  const bed = {
    command: [vllm, "serve", model],
    env: engineEnv,
    dir,
    bootTimeoutMs,
    patienceMs: bootTimeoutMs,
    longStreamTokens: 1,
    leaseS: 30,
  };
  const flags = `--served-model-name tiny --dtype float32 --enforce-eager --max-model-len 512 --max-num-seqs 4 --kv-cache-memory-bytes 256M --block-size ${blockSize}`;
  const engine = await launch(bed, "aggregated", flags.split(" "));
  try {
    await untilHealthy(engine, bed);
    const answers: Record<string, readonly number[]> = {};
    for (const prompt of [...prompts, ...freshPrompts]) {
      const answer = await complete(engine, { prompt, ...tokensAsked });
      const { choices } = answer.json<{ choices: { token_ids: number[] }[] }>();
      answers[prompt] = choices[0]?.token_ids ?? [];
    }
    return answers;
  } finally {
    await engine.stop();
  }
}
