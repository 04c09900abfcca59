import { describe, expect, test } from "vitest";
import { restartProblem } from "../../src/domain/restart.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const single = { prefill: { replicas: 1 }, decode: { replicas: 1 } } as const;

/** A job that serves, of whose replica a restart was asked for; nobody looked since. */
function restarting(name: string, overrides: Parameters<typeof makeSpec>[0] = single) {
  const cluster = fakeCluster(makeSpec(overrides));
  cluster.settle();
  cluster.state.log.length = 0;
  cluster.state.desired = { ...cluster.state.desired, relieved: { [name]: 1 } };
  return cluster;
}

/** Who serves after each membership that the proxy was told of. */
function playMemberships({ turn, run, state }: ReturnType<typeof restarting>): readonly string[] {
  const told: string[] = [];
  for (let turns = 0; turns < 60; turns++) {
    const { actions, wakeAtMs } = turn();
    if (actions.length === 0 && wakeAtMs === undefined) return told;
    if (actions.length === 0) state.nowMs = Math.max(state.nowMs + 1, wakeAtMs ?? 0);
    for (const action of actions) {
      run(action);
      if (action.kind === "setMembership")
        told.push(action.members.map(({ name }) => name.slice("demo-".length)).join(" "));
    }
  }
  throw new Error(`still busy: ${state.log.join(" | ")}`);
}

describe("a replica that is asked to restart", () => {
  test.each(["decode-0", "prefill-0"])(
    "as the only one of its role, %s has another beside it first, which goes when the new one serves",
    (name) => {
      const cluster = restarting(name);
      const extra = name.replace("-0", "-1");
      const { view, actions } = cluster.turn();
      expect(actions).toMatchObject([{ kind: "reservePlacementGroup", surge: true }]);
      expect(view.phase).toBe("HEALING");
      const told = playMemberships(cluster);
      const [first, second, third, last] = told.map((one) => one.split(" ").toSorted().join(" "));
      const with_ = (...names: readonly string[]) =>
        [...names, name === "decode-0" ? "prefill-0-g1" : "decode-0-g1"].toSorted().join(" ");
      expect([first, second, third, last]).toEqual([
        with_(`${name}-g1`, `${extra}-g1`),
        with_(`${extra}-g1`),
        with_(`${name}-g2`, `${extra}-g1`),
        with_(`${name}-g2`),
      ]);
      expect(told).toHaveLength(4);
      expect(cluster.turn().view).toMatchObject({
        phase: "READY",
        reason: "1 prefill and 1 decode replicas serve",
      });
      expect(cluster.state.observed.placementGroups).toHaveLength(2);
    },
  );

  test("makes way at once when another of its role serves", () => {
    const cluster = restarting("decode-1", {});
    expect(cluster.turn().actions).toMatchObject([{ kind: "setMembership" }]);
    playMemberships(cluster);
    expect(cluster.state.log).not.toContain("reservePlacementGroup decode-2 g1");
  });

  test("two at once go one after the other", () => {
    const cluster = restarting("decode-1", {});
    cluster.state.desired = {
      ...cluster.state.desired,
      relieved: { "decode-0": 1, "decode-1": 1 },
    };
    const told = playMemberships(cluster);
    expect(told.every((one) => /decode-\d-g\d/.test(one))).toBe(true);
    expect(told.at(-1)).toBe("prefill-0-g1 prefill-1-g1 decode-0-g2 decode-1-g2");
  });

  test("waits, and says why, when a smaller num_gpus leaves no room any more", () => {
    const cluster = restarting("decode-0", { ...single, numGpus: 5 });
    expect(cluster.turn()).toMatchObject({
      actions: [],
      view: {
        phase: "HEALING",
        reason:
          "decode-0 cannot be spared for its restart, and num_gpus 5 leaves no room for another decode beside it: restart it with --allow-outage, or raise num_gpus",
      },
    });
    cluster.state.desired = { ...cluster.state.desired, retired: { "decode-0": 1 } };
    expect(playMemberships(cluster)).toEqual(["prefill-0-g1", "prefill-0-g1 decode-0-g2"]);
  });

  test("says so when rollout.surge is what leaves none, as after a config that changed it", () => {
    const rollout = { surge: 0, unavailable: 0, attempts: 2 };
    const { turn } = restarting("decode-0", { ...single, rollout });
    expect(turn().view.reason).toBe(
      "decode-0 cannot be spared for its restart, and rollout.surge 0 allows no other beside it: restart it with --allow-outage, or raise rollout.surge",
    );
  });

  test("heals, and updates nothing, when the config was changed once and has settled since", () => {
    const cluster = fakeCluster(makeSpec(single));
    cluster.state.desired = { ...cluster.state.desired, rollout: { revision: 2, since: {} } };
    cluster.settle();
    cluster.state.desired = { ...cluster.state.desired, relieved: { "decode-0": 1 } };
    const seen: (readonly [phase: string, reason: string])[] = [];
    for (let turns = 0; turns < 30; turns++) {
      const { view, actions } = cluster.turn();
      seen.push([view.phase, view.reason]);
      actions.forEach(cluster.run);
    }
    expect(new Set(seen.map(([phase]) => phase))).toEqual(new Set(["HEALING", "READY"]));
    expect(seen.map(([, reason]) => reason)).toContain("the proxy is told who serves");
  });

  test("makes way at once when it does not serve", () => {
    const cluster = restarting("decode-0");
    cluster.setState("demo-decode-0-g1", "starting");
    expect(cluster.turn().actions.map(({ kind }) => kind)).not.toContain("reservePlacementGroup");
    cluster.settle();
    expect(cluster.state.log).toContain("startDecode decode-0 g2");
    expect(cluster.state.log).not.toContain("startDecode decode-1 g1");
  });
});

describe("a restart of the only replica of a role", () => {
  const standing = (overrides: Parameters<typeof makeSpec>[0], phase = "READY") => {
    const cluster = fakeCluster(makeSpec({ ...single, ...overrides }));
    const { view } = cluster.settle();
    const replicas = view.replicas.map((one) => ({ ...one, phase: phase as "READY" }));
    return { spec: cluster.spec, desired: cluster.state.desired, view: { replicas } };
  };
  const decode = { replica: "decode-0" };

  test("is refused without room for another, and says what it costs", () => {
    expect(restartProblem(decode, standing({ numGpus: 5 }))).toBe(
      "decode-0 is the only decode replica, and num_gpus 5 leaves no room for another beside it (6 would do): while it is replaced no request is served, from its drain of at most 20 s until its successor has booted (timeout 60 s). Allow that (--allow-outage), or raise num_gpus.",
    );
    const rollout = { surge: 0, unavailable: 0, attempts: 2 };
    expect(restartProblem(decode, standing({ rollout }))).toMatch(
      /^decode-0 is the only decode replica, and rollout.surge is 0, .* or raise rollout.surge\.$/,
    );
  });

  test("costs no answers where decode replicas compute prompts without a prefill", () => {
    const degraded = { prefill: "decode-local", decode: "fail" } as const;
    const scheduler = { port: 8021, membership: "builtin", degraded } as const;
    expect(restartProblem({ replica: "prefill-0" }, standing({ numGpus: 5, scheduler }))).toContain(
      ": while it is replaced decode replicas compute every prompt, from its drain",
    );
  });

  test("is granted with room, with the outage allowed, and when it does not serve anyway", () => {
    expect(restartProblem(decode, standing({ numGpus: 6 }))).toBeUndefined();
    const small = standing({ numGpus: 5 });
    expect(restartProblem({ ...decode, outage: true }, small)).toBeUndefined();
    expect(restartProblem(decode, standing({ numGpus: 5 }, "DOWN"))).toBeUndefined();
    expect(restartProblem({ replica: "proxy" }, small)).toBeUndefined();
    expect(restartProblem({ ...decode, outage: "yes" }, small)).toMatch(/^A restart request is /);
  });
});
