import { describe, expect, test } from "vitest";
import type { Member } from "../../src/domain/observed.ts";
import { createPool } from "../../src/proxy/members/membership.ts";
import { choosePair } from "../../src/proxy/selection/pair.ts";
import { defaultSelection } from "../../src/proxy/selection/selection.ts";
import { weightAt } from "../../src/proxy/members/standing.ts";

const member = (name: string): Member => ({
  name,
  role: name.startsWith("p") ? "prefill" : "decode",
  url: "http://h:1",
});

/** A pool on a clock that the test moves. */
function scene(...names: readonly string[]) {
  let now = 1_000_000;
  let generation = 0;
  const pool = createPool({
    selection: { ...defaultSelection, rampMs: 10_000, silenceMs: 20_000, ejectionMs: 10_000 },
    nowMs: () => now,
  });
  const point = (...those: readonly string[]) =>
    pool.replace({ generation: (generation += 1), members: those.map(member) });
  const pair = (more: { tried?: readonly string[]; decode?: string } = {}) => {
    const { tried = [], ...rest } = more;
    const found = choosePair(pool, {
      tried: new Set(tried),
      withPrefill: true,
      tokens: { prompt: 1, answer: 1 },
      random: () => 0,
      ...rest,
    });
    return found && `${found.prefill?.name} ${found.decode.name}`;
  };
  point(...names);
  return { pool, point, pair, pass: (seconds: number) => void (now += seconds * 1_000) };
}

test.each([
  [0, 10, 0.1],
  [5, 10, 0.55],
  [10, 10, 1],
  [99, 10, 1],
  [0, 0, 1],
])("after %i of %i s a newcomer has %d of its share", (ageS, rampS, weight) => {
  expect(weightAt(ageS * 1_000, rampS * 1_000)).toBeCloseTo(weight);
});

describe("a newcomer", () => {
  test("gets its first request at once, and its full share when its time is over", () => {
    const { pool, point, pair, pass } = scene("p0", "p1", "d0");
    for (const name of ["p0", "p1"]) pool.enter(name, { prompt: 90, answer: 0 });
    point("p0", "p1", "p2", "d0");
    expect([pool.weightOf("p0"), pool.weightOf("p2")]).toEqual([1, 0.1]);
    expect(pair()).toBe("p2 d0");
    pool.enter("p2", { prompt: 10, answer: 0 });
    expect(pair()).toBe("p0 d0");
    pass(10);
    expect(pair()).toBe("p2 d0");
  });

  test("is new once: one that stays keeps its share, and the first members have theirs", () => {
    const { pool, point, pass } = scene("p0", "d0");
    point("p0", "d0", "p1");
    pass(5);
    point("p0", "p1");
    expect(["p0", "p1"].map((name) => pool.weightOf(name))).toEqual([1, 0.55]);
  });
});

describe("a member that sends no byte though it is asked", () => {
  test("is passed over after a while, for a while, and tried again for a while", () => {
    const { pool, pair, pass } = scene("p0", "d0", "d1");
    const visit = pool.enter("d0");
    visit.asked();
    pass(19);
    expect(pool.isDoubtful("d0")).toBe(false);
    pass(1);
    expect(pool.isDoubtful("d0")).toBe(true);
    for (let turn = 0; turn < 5; turn++) {
      expect(pair()).toBe("p0 d1");
      pool.enter("d1");
    }
    pass(10);
    expect(pool.isDoubtful("d0")).toBe(false);
    pass(19);
    expect(pool.isDoubtful("d0")).toBe(false);
    pass(1);
    expect(pool.isDoubtful("d0")).toBe(true);
    pass(19);
    expect(pool.isDoubtful("d0"), "twice as long").toBe(true);
    pass(1);
    expect(pool.isDoubtful("d0")).toBe(false);
    expect(pool.doubts()).toMatchObject({ silent: 2, failed: 0 });
  });

  test("is back with its first byte, and then silent only after the whole time again", () => {
    const { pool, pass } = scene("p0", "d0", "d1");
    const visit = pool.enter("d0");
    visit.asked();
    pass(20);
    expect(pool.isDoubtful("d0")).toBe(true);
    visit.came();
    expect(pool.isDoubtful("d0")).toBe(false);
    pass(1_000);
    visit.asked();
    pass(19);
    expect(pool.isDoubtful("d0")).toBe(false);
  });

  test("is not silent as long as one of its legs goes on, or its client does not read", () => {
    const { pool, pass } = scene("p0", "d0", "d1");
    const [stuck, runs, unread] = [0, 1, 2].map(() => pool.enter("d0"));
    stuck?.asked();
    unread?.asked();
    unread?.came();
    for (let turn = 0; turn < 10; turn++) {
      runs?.asked();
      pass(15);
      runs?.came();
    }
    expect(pool.isDoubtful("d0")).toBe(false);
    stuck?.leave();
    pass(1_000);
    expect(pool.isDoubtful("d0"), "nobody waits").toBe(false);
  });

  test("is asked all the same when it is the last one", () => {
    const { pool, pair, pass } = scene("p0", "d0");
    pool.enter("d0").asked();
    pool.enter("p0").asked();
    pass(60);
    expect([pool.isDoubtful("p0"), pool.isDoubtful("d0"), pair()]).toEqual([true, true, "p0 d0"]);
  });
});

describe("a prefill and a decode that failed together", () => {
  test("are kept apart for a while, and each serves with others", () => {
    const { pool, pair, pass } = scene("p0", "p1", "d0", "d1");
    pool.keepApart("p0", "d0");
    expect([pool.isDoubtful("p0"), pool.isDoubtful("d0")]).toEqual([false, false]);
    const pairs = new Set<string | undefined>();
    for (let turn = 0; turn < 40; turn++) {
      const found = pair() ?? "";
      pairs.add(found);
      for (const name of found.split(" ")) pool.enter(name).leave();
    }
    expect(pairs.has("p0 d0")).toBe(false);
    expect([...pairs].some((one) => one?.startsWith("p0 "))).toBe(true);
    expect([...pairs].some((one) => one?.endsWith(" d0"))).toBe(true);
    expect(pair({ decode: "d0" }), "the same decode again, with another prefill").toBe("p1 d0");
    pass(30);
    expect(pool.areApart("p0", "d0")).toBe(false);
  });

  test("go on together when there is no other pair", () => {
    const { pool, pair } = scene("p0", "d0");
    pool.keepApart("p0", "d0");
    expect(pair()).toBe("p0 d0");
  });

  test.each([
    [
      "a prefill that fails with two decodes",
      "p0",
      [
        ["p0", "d0"],
        ["p0", "d1"],
      ],
    ],
    [
      "a decode that fails with two prefills",
      "d0",
      [
        ["p0", "d0"],
        ["p1", "d0"],
      ],
    ],
  ] as const)("%s is suspect itself", (_name, name, pairs) => {
    const { pool, pass } = scene("p0", "p1", "d0", "d1");
    for (const [prefill, decode] of pairs) pool.keepApart(prefill, decode);
    const suspects = ["p0", "p1", "d0", "d1"].filter((one) => pool.isSuspect(one));
    expect(suspects).toEqual([name]);
    pass(3);
    expect(pool.isSuspect(name)).toBe(false);
  });

  test("are forgotten when one of them is gone", () => {
    const { pool, point } = scene("p0", "d0");
    pool.keepApart("p0", "d0");
    pool.suspect("d0");
    point("p0");
    point("p0", "d0");
    expect([pool.areApart("p0", "d0"), pool.isSuspect("d0")]).toEqual([false, false]);
  });
});

describe("the tokens in flight", () => {
  test("are the prompt and what is still to come, and none when all have left", () => {
    const { pool } = scene("p0", "d0");
    const [one, other] = [1, 2].map(() => pool.enter("d0", { prompt: 100, answer: 2 }));
    expect([pool.loadOf("d0"), pool.countOf("d0")]).toEqual([204, 2]);
    for (let piece = 0; piece < 5; piece++) {
      one?.asked();
      one?.came();
    }
    expect(pool.loadOf("d0")).toBe(202);
    one?.leave();
    one?.leave();
    expect([pool.loadOf("d0"), pool.countOf("d0")]).toEqual([102, 1]);
    other?.leave();
    expect([pool.loadOf("d0"), pool.inFlight()]).toEqual([0, {}]);
  });
});
