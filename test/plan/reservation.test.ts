import { describe, expect, test } from "vitest";
import type { ObservedNode, ObservedPlacementGroup } from "../../src/domain/observed.ts";
import { incarnationName } from "../../src/domain/names.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const single = { prefill: { replicas: 1 }, decode: { replicas: 1 } } as const;
const node = (free: number): ObservedNode => ({
  ip: "10.0.0.1",
  alive: true,
  total: { GPU: 4, CPU: 8 },
  available: { GPU: free, CPU: 8 },
});

/** A first deployment that got its prefill replica's GPUs, and not its decode replica's. */
function heldUp(name = "demo", overrides: Parameters<typeof makeSpec>[0] = single) {
  const cluster = fakeCluster(makeSpec({ name, ...overrides }), [node(0)]);
  const { state } = cluster;
  cluster.turn().actions.forEach(cluster.run); // probeEngine
  for (const action of cluster.turn().actions) cluster.run(action);
  const waiting = (one: ObservedPlacementGroup): ObservedPlacementGroup =>
    one.name === incarnationName(name, { role: "decode", index: 0 }, 1)
      ? { ...one, state: "PENDING", schedulingState: "NO_RESOURCES", nodeIps: [] }
      : one;
  state.observed = {
    ...state.observed,
    placementGroups: state.observed.placementGroups.map(waiting),
    groupsOfOthers: [{ name: "other-decode-0-g1", GPU: 2, CPU: 0 }],
  };
  const reservation = {
    key: "reservePlacementGroup decode-0 g1",
    kind: "reservePlacementGroup",
    target: "decode-0",
  } as const;
  state.inFlight = [reservation];
  return { ...cluster, reservation };
}

describe("a first deployment that gets a part of its GPUs", () => {
  test("starts no engine before it has all of them", () => {
    const { turn, state } = heldUp();
    expect(turn().actions).toEqual([]);
    state.inFlight = [];
    const whole = (one: ObservedPlacementGroup) => ({ ...one, state: "CREATED" as const });
    const { placementGroups } = state.observed;
    state.observed = { ...state.observed, placementGroups: placementGroups.map(whole) };
    expect(turn().actions.map(({ kind }) => kind)).toEqual(["startPrefill"]);
    expect(state.memory.reserving).toBeUndefined();
  });

  test("holds it for 5 to 10 s, gives it back, and asks for all of it again later", () => {
    const { turn, run, state, reservation } = heldUp();
    const { wakeAtMs, view } = turn();
    expect(view).toMatchObject({
      phase: "WAITING",
      reason:
        "decode-0 waits for GPUs or CPUs that others hold (0 of 4 GPUs are free; this job holds 2, job other 2)",
    });
    expect(wakeAtMs).toBeGreaterThanOrEqual(5_000);
    expect(wakeAtMs).toBeLessThan(10_000);
    state.nowMs = wakeAtMs! - 1;
    expect(turn().actions).toEqual([]);

    state.nowMs = wakeAtMs!;
    const giving = turn();
    expect(giving.cancel).toEqual([reservation.key]);
    expect(giving.actions).toMatchObject([
      { kind: "removePlacementGroup", replica: { role: "prefill" }, generation: 1, isWanted: true },
    ]);
    giving.actions.forEach(run);
    state.inFlight = [];
    turn().actions.forEach(run);
    expect(state.observed.placementGroups).toEqual([]);

    const againAtMs = state.memory.reserving?.againAtMs ?? 0;
    expect(againAtMs - wakeAtMs!).toBeGreaterThanOrEqual(2_000);
    expect(againAtMs - wakeAtMs!).toBeLessThan(8_000);
    const paused = turn();
    expect(paused).toMatchObject({ actions: [], wakeAtMs: againAtMs, view: { phase: "WAITING" } });
    expect(paused.view.reason).toContain(
      "prefill-0 waits until the whole job has room (it needs 4 GPUs; 0 of 4 GPUs are free; job other holds 2, others 2)",
    );

    // While even the sum of what is free is too little, there is nothing to ask for.
    state.nowMs = againAtMs;
    expect(turn().actions).toEqual([]);
    state.observed = { ...state.observed, nodes: [node(4)] };
    state.nowMs = state.memory.reserving?.againAtMs ?? 0;
    expect(turn().actions).toMatchObject([
      { kind: "reservePlacementGroup", generation: 2, replaces: false },
      { kind: "reservePlacementGroup", generation: 2, replaces: false },
    ]);
  });

  test("ends at its timeout with who holds what", () => {
    const { turn, run, state } = heldUp();
    state.nowMs = turn().wakeAtMs!;
    state.inFlight = [];
    turn().actions.forEach(run);
    state.nowMs = 65_000;
    const { failure } = turn();
    expect(failure?.code).toBe("PlacementTimeout");
    expect(failure?.message).toMatch(
      /^Job demo was not READY within its timeout of 60 s \(prefill-0 waits until .*job other holds 2.*\)\. Stop or scale down another job, add a node, or increase `timeout`/,
    );
  });

  test("says how many CPUs it needs where its engines have no GPUs", () => {
    const cpu = { numGpus: 0, replicas: 1 };
    const { turn, run, state } = heldUp("demo", { numCpus: 2, prefill: cpu, decode: cpu });
    const { view, wakeAtMs } = turn();
    expect(view.reason).toBe("decode-0 waits for GPUs or CPUs that others hold");
    state.nowMs = wakeAtMs!;
    state.inFlight = [];
    turn().actions.forEach(run);
    expect(turn().view.reason).toContain(
      "prefill-0 waits until the whole job has room (it needs 4 CPUs): what it could have was given back",
    );
  });

  test("waits as long as the names and attempts say, so that two jobs do not go on in step", () => {
    const holds = Array.from(
      { length: 200 },
      (_, index) => heldUp(`job-${index}`).turn().wakeAtMs!,
    );
    expect(holds).toEqual(
      Array.from({ length: 200 }, (_, index) => heldUp(`job-${index}`).turn().wakeAtMs!),
    );
    const apart = holds.slice(1).filter((hold, index) => Math.abs(hold - holds[index]!) > 500);
    expect(apart.length).toBeGreaterThan(140);
    expect(Math.min(...holds)).toBeLessThan(5_500);
    expect(Math.max(...holds)).toBeGreaterThan(9_500);
  });
});

test("a job that has served keeps what it has while it waits for more", () => {
  const { settle, turn, state } = fakeCluster(makeSpec({ ...single }), [node(4)]);
  settle();
  state.desired = { replicas: { prefill: 1, decode: 2 } };
  const pending = {
    name: "demo-decode-1-g1",
    state: "PENDING",
    schedulingState: "NO_RESOURCES",
    nodeIps: [],
  } as const;
  const { placementGroups } = state.observed;
  state.observed = { ...state.observed, placementGroups: [...placementGroups, pending] };
  turn();
  state.nowMs += 100_000;
  expect(turn().actions.map(({ kind }) => kind)).toEqual(["reservePlacementGroup"]);
  expect(state.memory.reserving).toBeUndefined();
});
