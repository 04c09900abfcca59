import { expect, test } from "vitest";
import type { Policy } from "../../src/domain/selection.ts";
import { createPool } from "../../src/proxy/members/membership.ts";
import type { Pool } from "../../src/proxy/members/membership.ts";
import { choosePair } from "../../src/proxy/selection/pair.ts";
import { defaultSelection } from "../../src/proxy/selection/selection.ts";

/*
 * What the policies are worth: four simulated prefill engines that work off one prompt after the other. No engine of a real
 * kind is so simple; the order of the policies is what is held here, and its numbers are those of docs/proxy.md.
 */
const members = 4;
const requests = 20_000;
const tokensPerMs = 10;
const [short, long] = [1_000, 30_000];
/** Prompts have one of so many beginnings, and an engine remembers the last ones that it has seen. */
const prefixes = 64;
const remembered = 20;
/** Of a short prompt's work, when its beginning is remembered. */
const workLeft = 0.25;

interface Traffic {
  /** Of the prompts, those that are long. */
  readonly longShare: number;
  /** Of what the engines can do without remembering anything. */
  readonly utilisation: number;
}
const mixed: Traffic = { longShare: 0.1, utilisation: 0.7 };
const alike: Traffic = { longShare: 0, utilisation: 0.9 };

const byTokens = (tokens: number): number => tokens;
const byCount = (): number => 1;

test.each<[string, Traffic, Policy, (tokens: number) => number, object]>([
  ["by requests in flight", mixed, "least-loaded", byCount, { firstTokenMs: 572, hits: 31 }],
  ["by tokens in flight", mixed, "least-loaded", byTokens, { firstTokenMs: 409, hits: 31 }],
  ["by the less loaded of two", mixed, "power-of-two", byTokens, { firstTokenMs: 831, hits: 31 }],
  ["by its beginning", mixed, "prefix-affinity", byTokens, { firstTokenMs: 515, hits: 58 }],
  ["by tokens in flight", alike, "least-loaded", byTokens, { firstTokenMs: 97, hits: 31 }],
  ["by its beginning", alike, "prefix-affinity", byTokens, { firstTokenMs: 31, hits: 97 }],
])("a short prompt %s, of %j: %s", (_name, traffic, policy, estimate, measured) => {
  const { firstTokenMs, hits } = serve({ traffic, policy, estimate });
  expect({ firstTokenMs: Math.round(firstTokenMs), hits: Math.round(hits * 100) }).toEqual(
    measured,
  );
});

/** Mean time to the first token of short prompts, and the share of prompts whose beginning was remembered. */
function serve({ traffic, policy, estimate }: Serving) {
  const random = randomFrom(7);
  let nowMs = 0;
  const pool = poolOf(policy, () => nowMs);
  const engines = new Map<string, Engine>();
  const ends: { readonly atMs: number; readonly leave: () => void }[] = [];
  const sums = { firstTokenMs: 0, count: 0, hits: 0 };
  for (let request = 0; request < requests; request++) {
    nowMs += -Math.log(1 - random()) * intervalMs(traffic);
    ends.sort((a, b) => a.atMs - b.atMs);
    while (ends[0] && ends[0].atMs <= nowMs) ends.shift()?.leave();
    const prefix = Math.floor(random() * prefixes);
    const prompt = random() < traffic.longShare ? long : short;
    const tokens = { prompt: estimate(prompt), answer: 0 };
    const wish = { tried: new Set<string>(), withPrefill: true, tokens, random };
    const prefixHash = Math.imul(prefix + 1, 0x9e3779b1);
    const name = choosePair(pool, { ...wish, prefixHash })?.prefill?.name ?? "";
    const engine = engines.get(name) ?? { freeAtMs: 0, seen: [] };
    const isHit = engine.seen.includes(prefix);
    const work = prompt === short && isHit ? prompt * workLeft : prompt;
    const freeAtMs = Math.max(nowMs, engine.freeAtMs) + work / tokensPerMs;
    const seen = [...engine.seen.filter((one) => one !== prefix), prefix].slice(-remembered);
    engines.set(name, { freeAtMs, seen });
    ends.push({ atMs: freeAtMs, leave: pool.enter(name, tokens).leave });
    sums.hits += isHit ? 1 : 0;
    sums.firstTokenMs += prompt === short ? freeAtMs - nowMs : 0;
    sums.count += prompt === short ? 1 : 0;
  }
  return { firstTokenMs: sums.firstTokenMs / sums.count, hits: sums.hits / requests };
}

interface Serving {
  readonly traffic: Traffic;
  readonly policy: Policy;
  readonly estimate: (tokens: number) => number;
}

interface Engine {
  readonly freeAtMs: number;
  readonly seen: readonly number[];
}

function poolOf(policy: Policy, nowMs: () => number): Pool {
  const policies = { prefill: policy, decode: "least-loaded" } as const;
  const pool = createPool({ selection: { ...defaultSelection, policy: policies }, nowMs });
  const prefills = Array.from({ length: members }, (_, at) => `p${at}`);
  const named = [...prefills, "d0"].map((name) => ({
    name,
    role: name === "d0" ? ("decode" as const) : ("prefill" as const),
    url: "http://h:1",
  }));
  pool.replace({ generation: 1, members: named });
  return pool;
}

/** Between two requests, on average. */
const intervalMs = ({ longShare, utilisation }: Traffic): number =>
  (short * (1 - longShare) + long * longShare) / (tokensPerMs * members * utilisation);

/** Mulberry32: the same story in every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), 61 | bits);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
