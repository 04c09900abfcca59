import { describe, expect, test } from "vitest";
import { actionKey } from "../../src/domain/action.ts";
import type { Action } from "../../src/domain/action.ts";
import { rehearse } from "../../src/plan/rehearse.ts";
import { rememberFailure } from "../../src/workflows/remember-failure.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const one = { replicas: 1 };
const spec = makeSpec({ upload: "/home/me/deploy", prefill: one, decode: one });
const upload: Action = { kind: "uploadFiles", directory: "/home/me/deploy", reason: "" };

const packagesIn = (actions: readonly Action[]): readonly string[] =>
  actions.flatMap((action) =>
    "package" in action ? [`${actionKey(action)}: ${action.package}`] : [],
  );

test("files are uploaded before any GPU is taken, and everything that runs is given them", () => {
  const steps = rehearse(spec);
  expect(steps.map(actionKey).slice(0, 3)).toEqual([
    "uploadFiles job",
    "probeEngine engine",
    "reservePlacementGroup prefill-0 g1",
  ]);
  expect(packagesIn(steps)).toEqual([
    "startPrefill prefill-0 g1: <package>",
    "startDecode decode-0 g1: <package>",
    "runProxy proxy g1: <package>",
  ]);
});

test("a job without a folder to upload has no such step", () => {
  const steps = rehearse(makeSpec());
  expect(steps.filter(({ kind }) => kind === "uploadFiles")).toEqual([]);
  expect(packagesIn(steps)).toEqual([]);
});

test("a folder is uploaded once, and what replaces a replica is given the same files", () => {
  const cluster = fakeCluster(spec);
  cluster.settle();
  cluster.setState("demo-decode-0-g1", "exited");
  const plan = cluster.settle();
  expect(plan.view.phase).toBe("READY");
  expect(cluster.state.log.filter((key) => key.startsWith("uploadFiles"))).toHaveLength(1);
  expect(cluster.state.log).toContain("startDecode decode-0 g2");
  expect(cluster.state.memory.package).toBe("gcs://_ray_pkg_1.zip");
});

test("a folder that cannot be uploaded ends a first deployment, with the reason, before it holds anything", () => {
  const cluster = fakeCluster(spec);
  const failure = { code: "SpecInvalid", message: "upload: /home/me/deploy is no folder" } as const;
  cluster.state.memory = rememberFailure(cluster.state.memory, upload, failure, 0);
  expect(cluster.turn().failure).toEqual(failure);
  expect(cluster.state.observed.placementGroups).toEqual([]);
});

describe("a job that was adopted while it served", () => {
  const adopted = () => {
    const cluster = fakeCluster(spec);
    cluster.settle();
    const { package: _, ...memory } = cluster.state.memory;
    cluster.state.memory = memory;
    cluster.state.log.length = 0;
    return cluster;
  };

  test("uploads its folder beside what runs", () => {
    const cluster = adopted();
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log).toEqual(["uploadFiles job"]);
  });

  test("goes on serving when that fails, tries again a minute later, and starts nothing meanwhile", () => {
    const cluster = adopted();
    const failure = { code: "SpecInvalid", message: "no such folder" } as const;
    cluster.state.memory = rememberFailure(cluster.state.memory, upload, failure, 1_000);
    cluster.setState("demo-decode-0-g1", "exited");
    cluster.run({
      kind: "stopReplica",
      replica: { role: "decode", index: 0 },
      generation: 1,
      graceS: 0,
      reason: "",
    });
    cluster.run({
      kind: "removePlacementGroup",
      replica: { role: "decode", index: 0 },
      generation: 1,
      reason: "",
    });
    cluster.state.nowMs = 2_000;
    const plan = cluster.turn();
    expect(plan.failure).toBeUndefined();
    expect(plan.actions.filter(({ kind }) => kind !== "setMembership")).toEqual([]);
    expect(plan.wakeAtMs).toBe(61_000);
    cluster.state.nowMs = 61_000;
    expect(cluster.turn().actions.map(actionKey)).toContain("uploadFiles job");
  });
});
