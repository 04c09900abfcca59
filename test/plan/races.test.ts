import { describe, expect, test } from "vitest";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

// Each of these was found by a simulated schedule.
describe("races", () => {
  test("a boot's deadline is on the job's clock, whatever the node's clock says", () => {
    const cluster = fakeCluster(makeSpec({ timeoutS: 60 }));
    cluster.settle();
    cluster.setState("demo-decode-0-g1", "starting");
    const { state } = cluster;
    state.memory = { ...state.memory, startedAtMs: { "decode-0": 5_000 } };
    const replicas = state.observed.replicas.map((one) => ({ ...one, startedAtMs: -3_600_000 }));
    state.observed = { ...state.observed, replicas };
    expect(cluster.turn().actions).toMatchObject([
      { kind: "waitHealthy", deadlineMs: 5_000 + 60_000 },
      { kind: "setMembership" },
    ]);
  });
});
