import { expect, test } from "vitest";
import { busyTargets, digestOf } from "../../src/activities/digest.ts";
import type { Observed } from "../../src/domain/observed.ts";

type Engine = Observed["replicas"][number];
type Proxy = Observed["proxies"][number];

const engine = (name: string, state: Engine["state"] = "healthy"): Engine => {
  const [, role, index, generation] = /(prefill|decode)-(\d+)-g(\d+)/.exec(name) ?? [];
  return {
    name,
    role: role as Engine["role"],
    index: Number(index),
    generation: Number(generation),
    state,
  };
};
const follower = (state: Engine["state"]) => ({
  ...engine("demo-decode-0-g1-r1", state),
  rank: 1,
});
const proxy = (generation: number, state: Proxy["state"] = "healthy"): Proxy => ({
  name: `demo-proxy-g${generation}`,
  generation,
  state,
});

const job: Observed = {
  session: "s1",
  placementGroups: [
    { name: "demo-prefill-0-g1", state: "CREATED", nodeIps: ["10.0.0.7"], bundles: [{ GPU: 2 }] },
    { name: "demo-decode-0-g1", state: "CREATED", nodeIps: ["10.0.0.8"], bundles: [{ GPU: 2 }] },
  ],
  replicas: [engine("demo-prefill-0-g1"), engine("demo-decode-0-g1")],
  followers: [follower("healthy")],
  proxies: [proxy(1), proxy(2)],
};

/** What becomes of decode-0 while it is stopped, whole, and taken away. */
const withoutDecode: readonly Observed[] = [
  { ...job, replicas: [engine("demo-prefill-0-g1"), engine("demo-decode-0-g1", "exited")] },
  { ...job, followers: [follower("exited")] },
  { ...job, followers: [], replicas: [engine("demo-prefill-0-g1")] },
  { ...job, followers: [], placementGroups: job.placementGroups.slice(0, 1) },
];

test("what becomes of a target that something is done to is left out, of each of its ranks, and nothing else", () => {
  for (const next of withoutDecode) {
    expect(digestOf(next)).not.toBe(digestOf(job));
    expect(digestOf(next, ["decode-0"])).toBe(digestOf(job, ["decode-0"]));
    expect(digestOf(next, ["proxy"])).not.toBe(digestOf(job, ["proxy"]));
  }
  const other = { ...job, replicas: [engine("demo-prefill-0-g1", "exited"), job.replicas[1]!] };
  expect(digestOf(other, ["decode-0"])).not.toBe(digestOf(job, ["decode-0"]));
  expect(digestOf({ ...job, session: "s2" }, ["decode-0", "proxy"])).not.toBe(
    digestOf(job, ["decode-0", "proxy"]),
  );
});

test("every generation of a proxy that something is done to is left out", () => {
  for (const proxies of [[proxy(2)], [proxy(1), proxy(2, "exited")]]) {
    expect(digestOf({ ...job, proxies }, ["proxy"])).toBe(digestOf(job, ["proxy"]));
    expect(digestOf({ ...job, proxies }, ["decode-0"])).not.toBe(digestOf(job, ["decode-0"]));
  }
});

test("two looks that leave out different targets are never the same, even at nothing", () => {
  const nothing = { ...job, placementGroups: [], replicas: [], followers: [], proxies: [] };
  expect(digestOf(nothing, ["decode-0"])).not.toBe(digestOf(nothing));
});

test("who is busy: whatever is changed now or from now on, but not what is only waited for", () => {
  const replica = { role: "prefill", index: 1 } as const;
  const reason = "";
  const inFlight = [
    { key: "stopReplica decode-0 g1", kind: "stopReplica", target: "decode-0" },
    { key: "waitHealthy decode-1 g1", kind: "waitHealthy", target: "decode-1" },
    // The newer one serves, and is watched.
    { key: "stopProxy proxy-g1", kind: "stopProxy", target: "proxy-g1" },
  ] as const;
  expect(
    busyTargets(inFlight, [
      { kind: "startPrefill", replica, generation: 2, reason },
      { kind: "sendCanary" as never, replica: { role: "prefill", index: 2 }, reason } as never,
      { kind: "setMembership", proxyGeneration: 2, generation: 4, members: [], reason },
    ]),
  ).toEqual(["decode-0", "prefill-1", "proxy"]);
});
