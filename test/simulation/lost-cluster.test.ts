import { expect, test } from "vitest";
import { makeSpec } from "../support/spec.ts";
import { blockRay } from "./faults.ts";
import { firstKind } from "./schedule.ts";
import { liveEngines } from "./truth.ts";
import { createWorld } from "./world.ts";

const timeoutS = 60;
/** Until a cluster is given up that does not answer, with the last call to it that has to end, and some slack. */
const givenUpWithinMs = 180_000;
const forEverMs = 24 * 3_600_000;

function start(leaseS = 0) {
  const world = createWorld({ seed: 3 });
  const job = world.start(
    makeSpec({ timeoutS, leaseS, prefill: { ...firstKind }, decode: { ...firstKind } }),
  )!;
  const ended = () => job.execution.status !== "running";
  return { world, job, ended };
}

test("a start whose cluster never answers ends FAILED at its timeout", async () => {
  const { world, job, ended } = start();
  blockRay(world, forEverMs);
  const fromMs = world.clock.nowMs();
  expect(await world.run(timeoutS * 1_000 + 30_000, ended)).toBe(true);
  // An attempt that could only begin past it is not made.
  expect(world.clock.nowMs() - fromMs).toBeGreaterThan((timeoutS - 15) * 1_000);
  // Nothing was begun there, so nothing is left to clean up.
  expect(job.execution.ending).toEqual({
    kind: "failed",
    code: "RayUnreachable",
    message: "The GCS does not answer.",
  });
});

test.each([
  [
    "when its GPUs are reserved",
    (groups: number, engines: number) => groups === 4 && engines === 0,
  ],
  ["when its engines boot", (_: number, engines: number) => engines === 4],
])("a start whose cluster is gone %s ends FAILED, and says how to clean up", async (_, isTime) => {
  const { world, job, ended } = start(600);
  await world.run(30_000, () =>
    isTime(world.cluster.ray.groups.size, liveEngines(world.cluster, "demo").length),
  );
  blockRay(world, forEverMs);
  expect(await world.run(timeoutS * 1_000 + givenUpWithinMs, ended)).toBe(true);
  expect(job.execution.ending).toMatchObject({ kind: "failed", code: "RayUnreachable" });
  expect(JSON.stringify(job.execution.ending)).toMatch(
    /The GCS does not answer\.\\nNext: the cluster has not answered since [\d-]+T[\d:.]+Z, so what the job began there may be left\. Once it answers again, pdjob-client cleanup demo removes it; engines end by themselves 600 s after they were last looked at\./,
  );
  // Nothing of ours goes on asking.
  const tasks = world.trace.length;
  await world.run(60_000);
  expect(world.trace.slice(tasks).filter((line) => line.includes("opened"))).toEqual([]);
});

test("a cluster that comes back in time is left clean", async () => {
  const { world, job, ended } = start();
  await world.run(30_000, () => liveEngines(world.cluster, "demo").length === 4);
  blockRay(world, timeoutS * 1_000 + 60_000);
  expect(await world.run(timeoutS * 1_000 + givenUpWithinMs, ended)).toBe(true);
  expect(job.execution.ending).toMatchObject({ kind: "failed" });
  expect(JSON.stringify(job.execution.ending)).not.toContain("cleanup");
  expect([...world.cluster.ray.groups.keys()]).toEqual([]);
});
