import { describe, expect, test } from "vitest";
import { defaultDegraded } from "../../src/domain/selection.ts";
import type { WithoutPrefill } from "../../src/domain/selection.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

/** A job that serves, and then loses every prefill replica for as long as the budget's window. */
function withoutPrefills(policy: WithoutPrefill) {
  const degraded = { ...defaultDegraded, prefill: policy };
  const scheduler = { port: 8021, membership: "builtin", degraded } as const;
  const restart = { restartsMax: 0, windowS: 600 };
  const cluster = fakeCluster(makeSpec({ scheduler, restart }));
  expect(cluster.settle().view.proxy).not.toHaveProperty("degraded");
  for (const index of [0, 1]) cluster.setState(`demo-prefill-${index}-g1`, "exited");
  /** Done what is to be done now; what comes back with the time stays away. */
  const act = () => {
    for (let turn = 0; turn < 8; turn++) cluster.turn().actions.forEach(cluster.run);
    return cluster.turn().view;
  };
  return { cluster, act };
}

describe("a job without prefill replicas", () => {
  test("says that decode computes prompts, where that is the policy", () => {
    expect(withoutPrefills("decode-local").act()).toMatchObject({
      phase: "DEGRADED",
      proxy: { phase: "READY", degraded: "decode-local" },
    });
  });

  test("says nothing of it where requests fail", () => {
    const { phase, proxy } = withoutPrefills("fail").act();
    expect([phase, proxy.phase, proxy.degraded]).toEqual(["DEGRADED", "READY", undefined]);
  });

  test.each([
    ["decode-local", "READY", "decode-local"],
    ["fail", "STARTING", undefined],
  ] as const)("and whose proxy is gone, too, has one that is %s: %s", (policy, phase, degraded) => {
    const { cluster, act } = withoutPrefills(policy);
    act();
    cluster.state.observed = { ...cluster.state.observed, proxies: [] };
    cluster.state.spec = { ...cluster.state.spec, restart: { restartsMax: 1, windowS: 600 } };
    // The budget of the replicas stays used up.
    const nowMs = cluster.state.nowMs;
    const restarts = { "prefill-0": [nowMs], "prefill-1": [nowMs] };
    cluster.state.memory = { ...cluster.state.memory, restarts };
    const { proxy } = act();
    expect([proxy.phase, proxy.degraded]).toEqual([phase, degraded]);
  });
});
