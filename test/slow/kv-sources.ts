import type { Reachable } from "../contract/bed.ts";
import { metric } from "../contract/metrics-text.ts";

/** The prompt tokens of a decode engine, by where their KV came from. */
export interface KvSources {
  readonly computed: number;
  readonly cached: number;
  readonly transferred: number;
  readonly byNixl: number;
  readonly byStore: number;
}

export async function kvOf(engine: Reachable): Promise<KvSources> {
  const by = (name: string, source: string): Promise<number> => metric(engine, name, { source });
  const tokens = "vllm:prompt_tokens_by_source_total";
  const tiers = "vllm:prompt_tokens_cached_by_source_total";
  return {
    computed: await by(tokens, "local_compute"),
    cached: await by(tokens, "local_cache_hit"),
    transferred: await by(tokens, "external_kv_transfer"),
    byNixl: await by(tiers, "p2p"),
    byStore: await by(tiers, "external_unspecified"),
  };
}

export async function kvSince(engine: Reachable, before: KvSources): Promise<KvSources> {
  const now = await kvOf(engine);
  return {
    computed: now.computed - before.computed,
    cached: now.cached - before.cached,
    transferred: now.transferred - before.transferred,
    byNixl: now.byNixl - before.byNixl,
    byStore: now.byStore - before.byStore,
  };
}
