import fc from "fast-check";
import { expect, test } from "vitest";
import { rehearse } from "../../src/plan/rehearse.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const count = fc.integer({ min: 1, max: 4 });

/** What may happen to a serving job between two quiet moments. */
const happening = fc.oneof(
  fc.record({ kind: fc.constant("scale" as const), prefill: count, decode: count }),
  fc.record({ kind: fc.constant("exit" as const), which: fc.nat(7) }),
  fc.record({ kind: fc.constant("vanish" as const), which: fc.nat(7) }),
  fc.record({ kind: fc.constant("hang" as const), which: fc.nat(7) }),
  fc.record({ kind: fc.constant("proxyDies" as const) }),
  fc.record({ kind: fc.constant("clusterRestarts" as const) }),
);

/** Budgets apart, which another test covers: here nothing may be given up. */
const patient = makeSpec({ restart: { restartsMax: 1_000, windowS: 600 } });

test("whatever happens, the job ends READY with the wanted counts, one incarnation each, and the proxy knows exactly those", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 12 }), (story) => {
      const cluster = fakeCluster(patient);
      cluster.settle();
      for (const event of story) {
        befall(cluster, event);
        const { view } = cluster.settle();
        expect(view.phase).toBe("READY");
      }
      const { observed, desired } = cluster.state;
      const names = observed.replicas.map(({ role, index }) => `${role}-${index}`);
      expect(new Set(names).size).toBe(names.length);
      expect(names).toHaveLength(desired.replicas.prefill + desired.replicas.decode);
      expect(observed.placementGroups.map(({ name }) => name).toSorted()).toEqual(
        observed.replicas.map(({ name }) => name).toSorted(),
      );
      expect(observed.proxies).toHaveLength(1);
      const members = observed.proxies[0]?.membership?.members ?? [];
      expect(members.map(({ name }) => name).toSorted()).toEqual(
        observed.replicas.map(({ name }) => name).toSorted(),
      );
    }),
    { numRuns: 300 },
  );
});

test("a generation is never used twice", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 12 }), (story) => {
      const cluster = fakeCluster(patient);
      cluster.settle();
      for (const event of story) {
        befall(cluster, event);
        cluster.settle();
      }
      const starts = cluster.state.log.filter(
        (key) => key.startsWith("start") || key.startsWith("runProxy"),
      );
      expect(new Set(starts).size).toBe(starts.length);
    }),
    { numRuns: 200 },
  );
});

test("teardown from any moment of any deployment leaves nothing", () => {
  fc.assert(
    fc.property(count, count, fc.nat(40), fc.boolean(), (prefill, decode, steps, drain) => {
      const cluster = fakeCluster(
        makeSpec({ prefill: { replicas: prefill }, decode: { replicas: decode } }),
      );
      for (let done = 0; done < steps;) {
        const { actions } = cluster.turn();
        if (actions.length === 0) break;
        for (const action of actions.slice(0, steps - done)) cluster.run(action);
        done += actions.length;
      }
      cluster.state.desired = { ...cluster.state.desired, stop: { drain } };
      expect(cluster.settle().finished).toBe(true);
      expect(cluster.state.observed).toMatchObject({
        placementGroups: [],
        replicas: [],
        proxies: [],
      });
    }),
    { numRuns: 200 },
  );
});

test("a plan names every replica's steps once, whatever the counts", () => {
  fc.assert(
    fc.property(count, count, (prefill, decode) => {
      const steps = rehearse(
        makeSpec({ prefill: { replicas: prefill }, decode: { replicas: decode } }),
      );
      const kinds = (kind: string) => steps.filter((step) => step.kind === kind).length;
      expect([
        kinds("reservePlacementGroup"),
        kinds("startPrefill"),
        kinds("startDecode"),
        kinds("waitHealthy"),
      ]).toEqual([prefill + decode, prefill, decode, prefill + decode]);
      expect(steps.slice(-3).map(({ kind }) => kind)).toEqual([
        "renderProxy",
        "runProxy",
        "setMembership",
      ]);
    }),
  );
});

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

function befall({ state, setState }: ReturnType<typeof fakeCluster>, event: Happening): void {
  const { observed } = state;
  const victim =
    "which" in event ? observed.replicas[event.which % observed.replicas.length] : undefined;
  switch (event.kind) {
    case "scale":
      state.desired = { replicas: { prefill: event.prefill, decode: event.decode } };
      return;
    case "exit":
      if (victim) setState(victim.name, "exited");
      return;
    case "hang":
      if (victim) setState(victim.name, "unhealthy");
      return;
    case "vanish":
      state.observed = { ...observed, replicas: observed.replicas.filter((one) => one !== victim) };
      return;
    case "proxyDies":
      state.observed = {
        ...observed,
        proxies: observed.proxies.map((proxy) => ({ ...proxy, state: "exited" as const })),
      };
      return;
    case "clusterRestarts":
      state.observed = { session: "another", placementGroups: [], replicas: [], proxies: [] };
  }
}
