import fc from "fast-check";
import { expect, test } from "vitest";
import type { ObservedNode, ObservedReplica } from "../../src/domain/observed.ts";
import { rehearse } from "../../src/plan/rehearse.ts";
import { emptyCluster, fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const count = fc.integer({ min: 1, max: 4 });

/** What may happen to a serving job between two quiet moments. */
const happening = fc.oneof(
  fc.record({ kind: fc.constant("scale" as const), prefill: count, decode: count }),
  fc.record({ kind: fc.constant("exit" as const), which: fc.nat(11) }),
  fc.record({ kind: fc.constant("vanish" as const), which: fc.nat(11) }),
  fc.record({ kind: fc.constant("hang" as const), which: fc.nat(11) }),
  fc.record({ kind: fc.constant("proxyDies" as const) }),
  fc.record({ kind: fc.constant("clusterRestarts" as const) }),
);

/** Two nodes on which a prefill replica of 12 GPUs is a gang of two. */
const nodes: readonly ObservedNode[] = ["10.0.0.1", "10.0.0.2"].map((ip) => ({
  ip,
  alive: true,
  total: { GPU: 8, CPU: 8 },
  available: { GPU: 8, CPU: 8 },
}));

/** Budgets apart, which another test covers: here nothing may be given up. */
const patience = { restart: { restartsMax: 1_000, windowS: 600 } };
const patient = makeSpec(patience);
const gangs = makeSpec({ ...patience, prefill: { numGpus: 12 } });

test.each([
  ["replicas on one node", patient, 1],
  ["gangs", gangs, 2],
])(
  "whatever happens, a job of %s ends READY with the wanted counts, one incarnation each with all its ranks, and the proxy knows exactly those",
  (_what, spec, ranks) => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 12 }), (story) => {
        const cluster = fakeCluster(spec, nodes);
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
        const followers = (observed.followers ?? []).map(({ name }) => name);
        expect(followers.toSorted()).toEqual(
          observed.replicas
            .flatMap(({ name, role }) => (role === "prefill" && ranks > 1 ? [`${name}-r1`] : []))
            .toSorted(),
        );
      }),
      { numRuns: 300 },
    );
  },
);

test.each([
  ["replica on one node", patient],
  ["rank of a gang", gangs],
])("a generation is never used twice, and no %s is started twice", (_what, spec) => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 12 }), (story) => {
      const cluster = fakeCluster(spec, nodes);
      cluster.settle();
      for (const event of story) {
        befall(cluster, event);
        cluster.settle();
      }
      const starts = cluster.state.log.filter(
        (key) => key.startsWith("start") || key.startsWith("runProxy"),
      );
      expect(new Set(starts).size).toBe(starts.length);
      expect(new Set(cluster.state.starts).size).toBe(cluster.state.starts.length);
    }),
    { numRuns: 200 },
  );
});

test.each([2, 12])(
  "teardown from any moment of any deployment, with a prefill of %i GPUs, leaves nothing",
  (numGpus) => {
    fc.assert(
      fc.property(count, count, fc.nat(40), fc.boolean(), (prefill, decode, steps, drain) => {
        const cluster = fakeCluster(
          makeSpec({ prefill: { numGpus, replicas: prefill }, decode: { replicas: decode } }),
          nodes,
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
        expect(cluster.state.observed.followers ?? []).toEqual([]);
      }),
      { numRuns: 200 },
    );
  },
);

test("a worker killed after any number of ranks goes on, and starts no rank twice", () => {
  const wide = makeSpec({ prefill: { numGpus: 40 }, decode: { numGpus: 24 } });
  const many = Array.from({ length: 8 }, (_, index) => ({
    ip: `10.0.0.${index}`,
    alive: true,
    total: { GPU: 8, CPU: 8 },
    available: { GPU: 8, CPU: 8 },
  }));
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 12 }), (kills) => {
      const cluster = fakeCluster(wide, many);
      for (const ranks of kills) {
        for (const action of cluster.turn().actions) {
          if (action.kind === "startPrefill" || action.kind === "startDecode")
            cluster.startRanks(action, ranks);
          else cluster.run(action);
        }
      }
      expect(cluster.settle().view.phase).toBe("READY");
      expect(cluster.state.starts).toHaveLength(2 * 5 + 2 * 3);
      expect(new Set(cluster.state.starts).size).toBe(cluster.state.starts.length);
    }),
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
      expect(steps.slice(-2).map(({ kind }) => kind)).toEqual(["renderProxy", "runProxy"]);
    }),
  );
});

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

function befall({ state, setState }: ReturnType<typeof fakeCluster>, event: Happening): void {
  const { observed } = state;
  const ranks: readonly ObservedReplica[] = [...observed.replicas, ...(observed.followers ?? [])];
  const victim = "which" in event ? ranks[event.which % ranks.length] : undefined;
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
      state.observed = {
        ...observed,
        replicas: observed.replicas.filter((one) => one !== victim),
        followers: (observed.followers ?? []).filter((one) => one !== victim),
      };
      return;
    case "proxyDies":
      state.observed = {
        ...observed,
        proxies: observed.proxies.map((proxy) => ({ ...proxy, state: "exited" as const })),
      };
      return;
    case "clusterRestarts":
      state.observed = emptyCluster("another", observed.nodes);
  }
}
