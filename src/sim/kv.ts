import type { Generation } from "./generate.ts";
import type { EngineOptions } from "./options.ts";
import type { Prompt } from "./prompts.ts";
import { createStore } from "./store.ts";
import { createTransfer } from "./transfer.ts";
import type { KvTransfer, Pulled } from "./transfer.ts";

/** Where a prompt's KV came from. `tokens` of it were not computed here. */
export type Loaded =
  | {
      readonly kind: "ready";
      readonly tokens: number;
      readonly heardAs: string;
      readonly isPulled: boolean;
    }
  | Exclude<Pulled, { kind: "pulled" }>;

/** The engine's connectors: KV is loaded by the first that has it, and saved by all. */
export interface Kv {
  readonly transfer: KvTransfer | undefined;
  load(prompt: Prompt, params: Generation["kvParams"]): Promise<Loaded>;
  /** After the prompt was computed here. */
  save(prompt: Prompt): void;
  /** The `kv_transfer_params` of the answer, when it was asked to keep the KV for a decode engine. */
  offer(request: Generation, answerId: string): unknown;
}

const outOfRange = { kind: "poisoned", why: "IndexError: index out of range in self" } as const;

export function createKv(options: EngineOptions, env: NodeJS.ProcessEnv): Kv {
  const connectors = options.kv?.connectors ?? [];
  const nixl = connectors.find(({ name }) => name.startsWith("Nixl"));
  const example = connectors.find(({ name }) => name === "ExampleConnector");
  const transfer = nixl && createTransfer(options, nixl, env);
  const store = example && createStore(example, options.blockSize);

  async function load(prompt: Prompt, params: Generation["kvParams"]): Promise<Loaded> {
    const own = { kind: "ready", tokens: 0, heardAs: prompt.text, isPulled: false } as const;
    for (const connector of connectors) {
      if (connector === nixl && transfer && params?.["do_remote_prefill"] === true) {
        const outcome = await transfer.pull(params, prompt);
        if (outcome.kind !== "pulled") return outcome;
        const { heardAs } = outcome;
        return { kind: "ready", tokens: prompt.tokens.length, heardAs, isPulled: true };
      }
      if (connector === example && store?.isFatal(prompt)) return outOfRange;
      const stored = connector === example ? (store?.load(prompt) ?? 0) : 0;
      if (stored > 0) return { ...own, tokens: stored };
    }
    return own;
  }

  return {
    transfer,
    load,
    save: (prompt) => store?.save(prompt),
    offer({ kvParams, prompts: [prompt] }, answerId) {
      const isRefused = env["PDJOB_SIM_KV_ROLE"] === "strict" && options.kv?.role === "kv_consumer";
      const isWanted = kvParams?.["do_remote_decode"] === true && !isRefused;
      return transfer && prompt && isWanted
        ? transfer.offer(answerId, prompt, prompt.maxTokens)
        : null;
    },
  };
}
