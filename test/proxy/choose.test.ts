import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Policy } from "../../src/domain/selection.ts";
import { rendezvous } from "../../src/proxy/selection/affinity.ts";
import { choose } from "../../src/proxy/selection/choose.ts";
import type { Candidate, Wish } from "../../src/proxy/selection/choose.ts";

const candidate = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  member: { name, role: "prefill", url: "http://h:1" },
  load: 0,
  weight: 1,
  lastTurn: 0,
  setback: 0,
  ...more,
});

const wish = (policy: Policy, more: Partial<Wish> = {}): Wish => ({
  policy,
  tokens: 100,
  random: () => 0,
  ...more,
});

const chosen = (candidates: readonly Candidate[], by: Wish): string | undefined =>
  choose(candidates, by)?.name;

test.each<[string, readonly Candidate[], string | undefined]>([
  ["fewer tokens in flight", [candidate("a", { load: 2 }), candidate("b", { load: 1 })], "b"],
  [
    "a newcomer with nothing to do",
    [candidate("a", { load: 9 }), candidate("b", { weight: 0.1 })],
    "b",
  ],
  [
    "not a newcomer with its share",
    [candidate("a", { load: 9 }), candidate("b", { load: 1, weight: 0.1 })],
    "a",
  ],
  [
    "the one that waits longest, of idle ones",
    [candidate("a", { lastTurn: 8 }), candidate("b", { lastTurn: 7 })],
    "b",
  ],
  [
    "the one that nothing speaks against",
    [candidate("a", { load: 9 }), candidate("b", { setback: 1 })],
    "a",
  ],
  [
    "the one that less speaks against",
    [candidate("a", { setback: 10 }), candidate("b", { setback: 1, load: 9 })],
    "b",
  ],
  ["the last one, whatever speaks against it", [candidate("a", { setback: 11 })], "a"],
  ["nobody, when there is none", [], undefined],
])("of all, least-loaded takes %s", (_name, candidates, name) => {
  expect(chosen(candidates, wish("least-loaded"))).toBe(name);
});

describe("power of two choices", () => {
  const fleet = [9, 5, 7, 1].map((load, at) => candidate(`m${at}`, { load }));
  const drawn = (...numbers: number[]) => {
    const left = [...numbers];
    return wish("power-of-two", { random: () => left.shift() ?? 0 });
  };

  test.each<[string, number[], string]>([
    ["m0 and m1", [0, 0], "m1"],
    ["m0 and m2", [0, 0.4], "m2"],
    ["m2 and m3", [0.5, 0], "m3"],
    ["m3 and m0, around the end", [0.99, 0], "m3"],
    ["m3 and m2", [0.99, 0.99], "m3"],
  ])("draws %s, and takes the less loaded", (_name, numbers, name) => {
    expect(chosen(fleet, drawn(...numbers))).toBe(name);
  });

  test("never takes the most loaded of all, and takes every other one at some time", () => {
    const counts = new Map<string, number>();
    for (let turn = 0; turn < 1_000; turn++) {
      const name = chosen(fleet, wish("power-of-two", { random: Math.random })) ?? "";
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect([...counts.keys()].toSorted()).toEqual(["m1", "m2", "m3"]);
  });
});

const loads = fc.array(
  fc.record({ load: fc.nat(1_000), weight: fc.double({ min: 0.1, max: 1, noNaN: true }) }),
  {
    minLength: 1,
    maxLength: 12,
  },
);
const named = (states: readonly { load: number; weight: number }[]): readonly Candidate[] =>
  states.map((state, at) => candidate(`m${at}`, state));

describe("by the prompt's beginning", () => {
  test("the same member is asked again, whoever else joins or leaves", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(), fc.nat(), (size, prefixHash, at) => {
        const all = named(Array.from({ length: size }, () => ({ load: 0, weight: 1 })));
        const by = wish("prefix-affinity", { prefixHash });
        const home = chosen(all, by);
        const other = all[at % size]?.member.name;
        const left = all.filter(({ member }) => member.name !== other);
        expect(chosen([...all].reverse(), by)).toBe(home);
        if (other !== home) expect(chosen(left, by)).toBe(home);
      }),
    );
  });

  test("prefixes spread over all members about evenly", () => {
    const all = named(Array.from({ length: 4 }, () => ({ load: 0, weight: 1 })));
    const counts = new Map<string, number>();
    for (let prefix = 0; prefix < 4_000; prefix++) {
      const [first] = rendezvous(
        all.map(({ member }) => member),
        Math.imul(prefix, 0x9e3779b1) >>> 0,
      );
      counts.set(first?.name ?? "", (counts.get(first?.name ?? "") ?? 0) + 1);
    }
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
    expect(counts.size).toBe(4);
  });

  test("one that has much more to do than the others is passed by, and its next in line is the same for all", () => {
    const idle = named([1, 2, 3].map(() => ({ load: 0, weight: 1 })));
    const by = wish("prefix-affinity", { prefixHash: 7, tokens: 100 });
    const home = chosen(idle, by);
    const withHome = (load: number, others: number): readonly Candidate[] =>
      idle.map((one) => ({ ...one, load: one.member.name === home ? load : others }));
    expect(chosen(withHome(125, 0), by)).toBe(home);
    const next = chosen(withHome(126, 0), by);
    expect(next).not.toBe(home);
    expect(chosen(withHome(9_999, 0), by)).toBe(next);
    expect(chosen(withHome(9_999, 9_000), by)).toBe(home);
  });

  test("without a prompt the least loaded is asked", () => {
    expect(chosen([candidate("a", { load: 1 }), candidate("b")], wish("prefix-affinity"))).toBe(
      "b",
    );
  });
});

describe("whatever the policy", () => {
  const policies = fc.constantFrom<Policy>("least-loaded", "power-of-two", "prefix-affinity");
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  test("somebody is chosen, of those that the least speaks against", () => {
    const rated = fc.array(fc.constantFrom(0, 1, 2, 10, 11), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(policies, rated, fc.nat(), random, (policy, setbacks, prefixHash, chance) => {
        const all = setbacks.map((setback, at) => candidate(`m${at}`, { setback, load: at }));
        const name = chosen(all, wish(policy, { prefixHash, random: () => chance }));
        const found = all.find(({ member }) => member.name === name);
        expect(found?.setback).toBe(Math.min(...setbacks));
      }),
    );
  });

  test("who is chosen is at most a quarter more loaded than the others are, this request included", () => {
    fc.assert(
      fc.property(policies, loads, fc.nat(), random, (policy, states, prefixHash, chance) => {
        fc.pre(policy !== "power-of-two" || states.length <= 2);
        const all = named(states);
        const name = chosen(all, wish(policy, { prefixHash, random: () => chance }));
        const pressures = all.map(({ member, load, weight }) => ({
          isChosen: member.name === name,
          pressure: load / weight,
        }));
        const own = pressures.find(({ isChosen }) => isChosen)?.pressure ?? Infinity;
        const others = pressures.filter(({ isChosen }) => !isChosen);
        const mean = others.reduce((sum, { pressure }) => sum + pressure, 0) / others.length;
        if (others.length > 0) expect(own).toBeLessThanOrEqual(1.25 * (mean + 100) + 1e-6);
      }),
    );
  });

  test("newcomers share evenly when all are new", () => {
    const given = new Map<string, number>();
    let turn = 0;
    const last = new Map<string, number>();
    for (let request = 0; request < 300; request++) {
      const all = ["a", "b", "c"].map((name) =>
        candidate(name, {
          weight: 0.1,
          load: given.get(name) ?? 0,
          lastTurn: last.get(name) ?? 0,
        }),
      );
      const name = chosen(all, wish("least-loaded")) ?? "";
      given.set(name, (given.get(name) ?? 0) + 1);
      last.set(name, (turn += 1));
    }
    expect([...given.values()]).toEqual([100, 100, 100]);
  });
});
