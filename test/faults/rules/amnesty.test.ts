import { expect, test } from "vitest";
import { judgeRequests, noticedWithinMs } from "./amnesty.ts";
import type { Outcome, Strike } from "./amnesty.ts";
import type { Cost } from "./schedule.ts";

const strikeOf = (cost: Cost, more: Partial<Strike> = {}): Strike => ({
  kind: "test",
  cost,
  fromMs: 10_000,
  untilMs: 10_100,
  engines: [],
  isRoleLost: false,
  ...more,
});

const error = (text: string, more: Partial<Outcome> = {}): Outcome => ({
  startedMs: 9_900,
  endedMs: 10_300,
  kind: "error",
  text,
  ...more,
});

const middle = '{"error":{"message":"j-decode-0-g1 failed in the middle of the answer: aborted"}}';
const exhausted =
  "502: No prefill/decode pair could serve the request; the last attempt: j-decode-0-g1 cannot be reached";
const withheld =
  "502: The request may be what ended an engine, so it is not tried on another: j-decode-0-g1 answered 500";
const nobody = "503: No decode replica is ready (2 prefill, 0 decode). See pdjob-client status.";
const refused = error("connect ECONNREFUSED", { isBroken: true });
const engine = strikeOf("engine", { engines: ["j-decode-0-g1"] });
const isExcused = (outcome: Outcome, ...strikes: readonly Strike[]): boolean =>
  judgeRequests([outcome], strikes).length === 0;

test("a request that was served needs no strike, and one cut short in silence has none that explains it", () => {
  expect(judgeRequests([error("", { kind: "ok" })], [])).toEqual([]);
  expect(judgeRequests([error("31 events", { kind: "silent" })], [strikeOf("everything")])).toEqual(
    [
      "1 × a request, 1970-01-01T00:00:09.900Z to 1970-01-01T00:00:10.300Z, cut short in silence: 31 events",
    ],
  );
});

test("an error without any strike is a violation, and so is one beside a strike that costs nothing", () => {
  for (const text of [middle, exhausted, withheld, nobody])
    for (const strikes of [[], [strikeOf("nothing", { engines: ["j-decode-0-g1"] })]])
      expect(isExcused(error(text), ...strikes)).toBe(false);
});

test("an engine's strike excuses what names that engine, and nothing else at the same time", () => {
  expect(isExcused(error(middle), engine)).toBe(true);
  expect(isExcused(error(withheld), engine)).toBe(true);
  expect(isExcused(error(middle.replace("decode-0", "decode-1")), engine)).toBe(false);
  expect(isExcused(error(middle.replace("g1", "g12")), engine)).toBe(false);
  expect(isExcused(error("500: something else"), engine)).toBe(false);
  expect(isExcused(refused, engine)).toBe(false);
});

test("not before the strike, and not after it was noticed", () => {
  expect(isExcused(error(middle, { endedMs: 9_999 }), engine)).toBe(false);
  const late = 10_100 + noticedWithinMs + 1;
  expect(isExcused(error(middle, { startedMs: late, endedMs: late + 5 }), engine)).toBe(false);
});

test("a request that others could have served must be, until all of a role, or more than one engine, is struck", () => {
  expect(isExcused(error(exhausted), engine)).toBe(false);
  expect(isExcused(error(exhausted), { ...engine, isRoleLost: true })).toBe(true);
  expect(
    isExcused(error(exhausted), engine, strikeOf("engine", { engines: ["j-decode-1-g1"] })),
  ).toBe(true);
});

test("that nobody is there is excused while a role is lost, and no longer", () => {
  expect(isExcused(error(nobody), engine)).toBe(false);
  const lost = strikeOf("nothing", { isRoleLost: true, servedAgainMs: 15_000 });
  expect(isExcused(error(nobody), lost)).toBe(true);
  expect(isExcused(error(nobody, { startedMs: 15_001, endedMs: 15_002 }), lost)).toBe(false);
  expect(isExcused(error(middle), lost)).toBe(false);
});

test("a killed proxy excuses what was in it, and refuses nobody who comes later", () => {
  const killed = strikeOf("proxy");
  const cut = error("terminated", { isBroken: true });
  expect(isExcused(cut, killed)).toBe(true);
  expect(isExcused({ ...refused, startedMs: 11_000, endedMs: 11_001 }, killed)).toBe(false);
  expect(isExcused(error(nobody), killed)).toBe(false);
});

test("without the proxy's socket clients are refused until it serves again", () => {
  const lost = strikeOf("socket", { servedAgainMs: 20_000 });
  expect(isExcused({ ...refused, startedMs: 19_000, endedMs: 19_001 }, lost)).toBe(true);
  expect(isExcused({ ...refused, startedMs: 20_001, endedMs: 20_002 }, lost)).toBe(false);
  expect(isExcused(error(nobody), lost)).toBe(false);
  expect(isExcused(error("503: The proxy is stopping."), lost)).toBe(true);
  expect(isExcused(error("503: The proxy is stopping."), strikeOf("proxy"))).toBe(false);
});

test("a stalled proxy excuses what was in it meanwhile", () => {
  const stalled = strikeOf("stall", { untilMs: 19_000 });
  const stopping = error("503: The proxy is stopping.", { startedMs: 18_000, endedMs: 24_000 });
  expect(isExcused(stopping, stalled)).toBe(true);
  expect(isExcused({ ...stopping, startedMs: 19_001 }, stalled)).toBe(false);
});

test("when everything is lost any error is excused until the job serves again", () => {
  const lost = strikeOf("everything", { servedAgainMs: 40_000 });
  for (const one of [error(middle), error(nobody), refused]) {
    expect(isExcused(one, lost)).toBe(true);
    expect(isExcused({ ...one, startedMs: 40_001, endedMs: 40_002 }, lost)).toBe(false);
  }
});
