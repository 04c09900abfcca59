import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keptRevisions, pairingsWith, revisionsBytesMax } from "../../src/domain/revision.ts";
import type { Pairing, Revision } from "../../src/domain/revision.ts";
import { bytesOf, specBytesMax } from "../../src/domain/spec-shape.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { makeSpec } from "../support/spec.ts";

const numbersOf = (list: readonly { readonly number: number }[]) =>
  list.map(({ number }) => number);

describe("revisions that are kept", () => {
  const revision = (number: number, kib = 1): Revision => {
    const files = { "notes.txt": "x".repeat(kib * 1024) };
    return { number, atMs: 0, why: "apply", spec: makeSpec({ prefill: { files } }) };
  };
  const upTo = (last: number, kib?: number): readonly Revision[] =>
    Array.from({ length: last }, (_, at) => revision(at + 1, kib));

  test("are the last ten", () => {
    expect(numbersOf(keptRevisions(upTo(12), 12))).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("have the one that served last among them, however many came since", () => {
    expect(numbersOf(keptRevisions(upTo(14), 2))).toEqual([2, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  });

  test("are fewer when they are large", () => {
    expect(numbersOf(keptRevisions(upTo(8, 200), 3))).toEqual([3, 5, 6, 7, 8].slice(-5));
  });

  test("never take more bytes than may cross into the next run, and are never fewer than two to go back with", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(sizes, fc.nat(13), (kibs, at) => {
        const all = kibs.map((kib, index) => revision(index + 1, kib));
        const settled = (at % all.length) + 1;
        const kept = keptRevisions(all, settled);
        expect(numbersOf(kept)).toEqual(expect.arrayContaining([settled, all.length]));
        expect(bytesOf(kept.map(({ spec }) => spec))).toBeLessThan(revisionsBytesMax + 1_024);
      }),
      { numRuns: 50 },
    );
    expect(revisionsBytesMax).toBe(2 * specBytesMax);
  });
});

describe("pairings", () => {
  const of = (kvRevision: string): JobSpec =>
    makeSpec({ prefill: { kvRevision }, decode: { kvRevision } });
  const one = (number: number, kv: string): Pairing => ({ number, prefill: kv, decode: kv });

  test("of the configs at hand come last, and the wanted one has the highest number", () => {
    expect(pairingsWith([], [of("a"), of("b")])).toEqual([one(1, "a"), one(2, "b")]);
    const two = [one(1, "a"), one(2, "b")];
    expect(pairingsWith(two, [of("b"), of("b"), of("a")])).toEqual([one(2, "b"), one(3, "a")]);
    expect(pairingsWith(two, [of("b"), of("b")])).toEqual(two);
  });

  test("are not forgotten while their engines may run, however many configs came since", () => {
    const configs = "abcdefghijklm".split("");
    let known: readonly Pairing[] = [];
    for (const [at, next] of configs.entries())
      known = pairingsWith(known, [of("a"), of(configs[at - 1] ?? "a"), of(next)]);
    expect(known).toHaveLength(10);
    expect(known.map(({ prefill }) => prefill).slice(-3)).toEqual(["a", "l", "m"]);
    expect(known.at(-1)?.number).toBe(13);
    // Back to the oldest, and on to yet another one.
    const back = pairingsWith(known, [of("a"), of("m"), of("a")]);
    const on = pairingsWith(back, [of("a"), of("a"), of("z")]);
    expect(on.map(({ prefill }) => prefill).slice(-2)).toEqual(["a", "z"]);
    expect(numbersOf(on).slice(-2)).toEqual([14, 15]);
  });

  test("are none of configs that do not tell what KV depends on", () => {
    expect(pairingsWith([], [makeSpec(), makeSpec()])).toEqual([]);
  });
});
