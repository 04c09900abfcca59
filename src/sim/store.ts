import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KvConnector } from "./kv-config.ts";
import type { Prompt } from "./prompts.ts";

/**
 * ExampleConnector's folder of KV, shared by all engines: one folder for each prompt, named by a digest of its whole
 * blocks. Any engine that finds its prompt there loads it, whatever its role; nothing is ever removed.
 */
export function createStore({ storagePath }: KvConnector, blockSize: number) {
  const folderOf = ({ tokens }: Prompt, count: number): string => {
    const digest = createHash("md5").update(tokens.slice(0, count).join("\0")).digest("hex");
    return join(storagePath, digest);
  };

  return {
    /**
     * vLLM 0.32 counts -1 block of whole ones in a prompt of one token, finds the folder of all prompts below a block, and
     * the engine ends at that count.
     */
    isFatal: (prompt: Prompt): boolean =>
      prompt.tokens.length === 1 && existsSync(folderOf(prompt, 0)),
    /** How many of the prompt's tokens are there: whole blocks, and never the last two tokens. */
    load(prompt: Prompt): number {
      const count = wholeBlocks(prompt.tokens.length - 1, blockSize);
      return count > 0 && existsSync(folderOf(prompt, count)) ? count : 0;
    },
    save(prompt: Prompt): void {
      const folder = folderOf(prompt, wholeBlocks(prompt.tokens.length, blockSize));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "model.layers.0.self_attn.attn.safetensors"), "simulated KV\n");
    },
  };
}

const wholeBlocks = (tokens: number, blockSize: number): number =>
  Math.max(0, Math.floor((tokens - 1) / blockSize)) * blockSize;
