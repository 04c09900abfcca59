import type { Generation } from "./generate.ts";
import type { Kv } from "./kv.ts";
import type { Metrics } from "./metrics.ts";
import type { EngineOptions } from "./options.ts";

/** The prompts whose KV the engine has now: its own, or another's that it was handed. Or why it has none. */
export type LoadedAll =
  | { readonly kind: "ready"; readonly heardAs: readonly string[] }
  | { readonly kind: "failed" }
  | { readonly kind: "poisoned"; readonly why: string };

interface LoadingSetup {
  readonly options: EngineOptions;
  readonly kv: Kv;
  readonly metrics: Metrics;
}

/** Gets the KV of every prompt of a request, from where its connectors find it or by computing it. */
export function createLoading({ options, kv, metrics }: LoadingSetup) {
  return async function loadAll({ prompts, kvParams }: Generation): Promise<LoadedAll> {
    const heardAs: string[] = [];
    for (const prompt of prompts) {
      const loaded = await kv.load(prompt, kvParams);
      if (loaded.kind === "poisoned") return loaded;
      if (loaded.kind === "failed") {
        metrics.counters.failedTransfers += 1;
        if (options.kv?.onLoadFailure !== "recompute") {
          metrics.counters.error += 1;
          return loaded;
        }
      }
      const { tokens, isPulled } =
        loaded.kind === "ready" ? loaded : { tokens: 0, isPulled: false };
      metrics.loaded({ total: prompt.tokens.length, loaded: tokens, isPulled });
      if (tokens === 0) kv.save(prompt);
      heardAs.push(loaded.kind === "ready" ? loaded.heardAs : prompt.text);
    }
    return { kind: "ready", heardAs };
  };
}
