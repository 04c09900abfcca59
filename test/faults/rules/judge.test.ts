import { expect, test } from "vitest";
import type { Observed, ObservedProxy, ObservedReplica } from "../../../src/domain/observed.ts";
import { createJudge, odditiesOf, servingOf } from "./judge.ts";
import type { Root, Sample } from "./judge.ts";

const replica = (
  role: "prefill" | "decode",
  state: ObservedReplica["state"] = "healthy",
  generation = 1,
): ObservedReplica => ({ name: `j-${role}-0-g${generation}`, role, index: 0, generation, state });

const proxy = (...members: readonly string[]): ObservedProxy => ({
  name: "j-proxy-g1",
  generation: 1,
  state: "healthy",
  pid: 9,
  membership: {
    generation: 1,
    members: members.map((name) => ({
      name,
      role: name.includes("prefill") ? "prefill" : "decode",
      url: "http://x:1",
    })),
  },
});

const group = (name: string): Observed["placementGroups"][number] => ({
  name,
  state: "CREATED",
  nodeIps: ["n"],
});

const whole: Observed = {
  session: "s",
  placementGroups: [group("j-decode-0-g1"), group("j-prefill-0-g1")],
  replicas: [replica("prefill"), replica("decode")],
  proxies: [proxy("j-prefill-0-g1", "j-decode-0-g1")],
};
const running: readonly Root[] = [
  [1, "j-prefill-0-g1"],
  [2, "j-decode-0-g1"],
  [9, "j-proxy-g1"],
];
const oneEach = { prefill: 1, decode: 1 };

/** What a judge finds when a job looks like this for so long. */
function judged(sample: Omit<Sample, "atMs">, lastsMs: number): readonly string[] {
  const judge = createJudge();
  for (let atMs = 0; atMs <= lastsMs; atMs += 250) judge.see({ ...sample, atMs });
  return judge.violations();
}

test("of a job that is whole nothing is said, however long it lasts", () => {
  expect(judged({ running, seen: whole }, 600_000)).toEqual([]);
  expect(odditiesOf(whole, running, oneEach)).toEqual([]);
});

test.each([
  [
    "two engines of one replica",
    { running: [...running, [3, "j-decode-0-g2"]] as const, seen: undefined },
    3_000,
    ["decode-0 ran more than once: j-decode-0-g1 (2) and j-decode-0-g2 (3) for 3 s"],
  ],
  [
    "two engines of one generation",
    { running: [...running, [3, "j-decode-0-g1"]] as const, seen: whole },
    3_000,
    ["decode-0 ran more than once: j-decode-0-g1 (2) and j-decode-0-g1 (3) for 3 s"],
  ],
  [
    "two proxies that do not end their handing over",
    { running: [...running, [3, "j-proxy-g2"]] as const, seen: undefined },
    30_000,
    ["the proxy ran more than once: j-proxy-g1 (9) and j-proxy-g2 (3) for 30 s"],
  ],
  [
    "a placement group without an actor",
    {
      running,
      seen: { ...whole, placementGroups: [...whole.placementGroups, group("j-decode-1-g1")] },
    },
    60_000,
    ["placement group j-decode-1-g1 held GPUs for nobody for 60 s"],
  ],
  [
    "a process without an actor",
    { running: [...running, [3, "j-decode-1-g4"]] as const, seen: whole },
    15_000,
    ["process 3 of j-decode-1-g4 ran without an actor for 15 s"],
  ],
  [
    "a member that never served",
    { running, seen: { ...whole, replicas: [replica("prefill"), replica("decode", "starting")] } },
    3_000,
    ["the proxy had j-decode-0-g1 as a member before it served for 3 s"],
  ],
  [
    "a member that serves no more",
    { running, seen: { ...whole, replicas: [replica("prefill"), replica("decode", "unhealthy")] } },
    45_000,
    ["the proxy had j-decode-0-g1 as a member although it did not serve for 45 s"],
  ],
  [
    "a member that is gone",
    { running: running.slice(0, 1), seen: { ...whole, replicas: [replica("prefill")] } },
    45_000,
    ["the proxy had j-decode-0-g1 as a member although it did not serve for 45 s"],
  ],
])("%s may pass, and is a violation when it lasts", (_what, sample, lastsMs, violations) => {
  expect(judged(sample, lastsMs)).toEqual([]);
  expect(judged(sample, lastsMs + 250)).toEqual(violations);
});

test("what went away in between was not there all the time", () => {
  const judge = createJudge();
  const odd: readonly Root[] = [...running, [3, "j-decode-0-g2"]];
  for (let atMs = 0; atMs < 20_000; atMs += 2_000)
    judge.see({ atMs, running: (atMs / 2_000) % 2 ? odd : running, seen: whole });
  expect(judge.violations()).toEqual([]);
});

test.each([
  ["too few", { ...whole, replicas: [replica("prefill")] }, running, oneEach],
  ["not what is wanted", whole, running, { prefill: 2, decode: 1 }],
  [
    "one not healthy",
    { ...whole, replicas: [replica("prefill"), replica("decode", "lost")] },
    running,
    oneEach,
  ],
  ["no proxy", { ...whole, proxies: [] }, running, oneEach],
  [
    "a member too many",
    { ...whole, proxies: [proxy("j-prefill-0-g1", "j-decode-0-g1", "j-decode-1-g1")] },
    running,
    oneEach,
  ],
  ["a member too few", { ...whole, proxies: [proxy("j-prefill-0-g1")] }, running, oneEach],
  [
    "a group too many",
    { ...whole, placementGroups: [...whole.placementGroups, group("j-decode-1-g1")] },
    running,
    oneEach,
  ],
  ["a process too many", whole, [...running, [3, "j-decode-1-g1"] as const], oneEach],
  ["a process too few", whole, running.slice(1), oneEach],
])("at rest, %s is odd", (_what, seen, roots, wanted) => {
  expect(odditiesOf(seen, roots, wanted)).not.toEqual([]);
});

test("those serve that are healthy, members of the newest proxy and not excepted", () => {
  const both = { prefill: ["j-prefill-0-g1"], decode: ["j-decode-0-g1"] };
  expect(servingOf(whole, new Set())).toEqual(both);
  expect(servingOf(whole, new Set(["j-decode-0-g1"]))).toEqual({ ...both, decode: [] });
  const older = { ...proxy("j-prefill-0-g1", "j-decode-0-g1"), generation: 0 };
  const newer = proxy("j-prefill-0-g1");
  expect(servingOf({ ...whole, proxies: [older, newer] }, new Set())).toEqual({
    ...both,
    decode: [],
  });
  expect(servingOf({ ...whole, proxies: [{ ...newer, state: "starting" }] }, new Set())).toEqual({
    prefill: [],
    decode: [],
  });
});
