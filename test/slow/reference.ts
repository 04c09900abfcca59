import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, untilHealthy } from "../contract/bed.ts";
import { complete } from "../contract/calls.ts";
import { blockSize, prompts, tokensAsked } from "./prompts.ts";
import { bootTimeoutMs, engineEnv, vllm } from "./real.ts";

/** Emptied by every run of the tests: one aggregated engine answers for all files of a run. */
const kept = fileURLToPath(new URL("../../.pdjob/reports/reference.json", import.meta.url));

/** What one ordinary engine, without any KV transfer, answers to each prompt: the ids of the tokens. */
export async function referenceAnswers(
  model: string,
  dir: string,
): Promise<readonly (readonly number[])[]> {
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8")) as number[][];
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
    const answers: (readonly number[])[] = [];
    for (const prompt of prompts) {
      const answer = await complete(engine, { prompt, ...tokensAsked });
      answers.push(
        answer.json<{ choices: { token_ids: number[] }[] }>().choices[0]?.token_ids ?? [],
      );
    }
    mkdirSync(dirname(kept), { recursive: true });
    writeFileSync(kept, JSON.stringify(answers));
    return answers;
  } finally {
    await engine.stop();
  }
}
