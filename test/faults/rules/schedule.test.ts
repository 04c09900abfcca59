import { expect, test } from "vitest";
import { costOf, firstFaultOf, scheduleOf } from "./schedule.ts";
import { neverStruck, tallyOf } from "./tally.ts";

/** Each operation twice, and each fault. */
const deck = 43;

test("a seed is the same schedule again, and another one than its neighbour's", () => {
  expect(scheduleOf(17, 50)).toEqual(scheduleOf(17, 50));
  expect(firstFaultOf(17)).toEqual(firstFaultOf(17));
  expect(scheduleOf(17, 50)).not.toEqual(scheduleOf(18, 50));
});

test("every kind comes before one comes again, operations twice", () => {
  const kinds = scheduleOf(5, deck).map(({ kind }) => kind);
  const count = (kind: string): number => kinds.filter((one) => one === kind).length;
  expect(new Set(kinds).size).toBe(36);
  for (const kind of ["apply", "undo", "stopAndStart", "scaleDecode"]) expect(count(kind)).toBe(2);
  for (const kind of ["killHead", "killRaylet", "fullDiskForProxyLog"]) expect(count(kind)).toBe(1);
});

test("first deployments meet every fault, and no operation", () => {
  const kinds = new Set(Array.from({ length: 1_000 }, (_, seed) => firstFaultOf(seed).kind));
  expect(kinds.size).toBe(29);
  expect([...kinds].some((kind) => kind.startsWith("scale"))).toBe(false);
});

test("what an orchestrator's part loses costs no request", () => {
  for (const kind of ["killAgent", "killWorker", "killTemporal", "freezeGcs", "apply"] as const)
    expect(costOf(kind)).toBe("nothing");
});

test("a tally tells how many struck, and which kinds never do", () => {
  const miss = { kind: "killNobody", struck: false };
  const attempts = [
    miss,
    { kind: "killEngine", struck: true },
    { kind: "killEngine", struck: false },
  ];
  expect(tallyOf(attempts)).toBe("killEngine 1 of 2, killNobody 0 of 1");
  expect(neverStruck(attempts)).toEqual([]);
  expect(neverStruck([...attempts, miss, miss])).toEqual([
    "killNobody was tried 3 times and never struck",
  ]);
});
