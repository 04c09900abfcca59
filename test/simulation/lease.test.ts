import { expect, test } from "vitest";
import { makeSpec } from "../support/spec.ts";
import { isAlive } from "./cluster/engine.ts";
import { unsettled } from "./settle.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

const deployWithinMs = 60_000;
/** A change is planned, and what runs is told of it. */
const toldWithinMs = 1_000;
/** Grace, and kills that reach a node late. */
const stopWithinMs = 40_000;

async function deployed(leaseS: number) {
  const world = createWorld({ seed: 3 });
  const job = world.start(makeSpec({ leaseS }))!;
  expect(await world.run(deployWithinMs, () => unsettled(world, job).length === 0)).toBe(true);
  return { world, job };
}

/** Nobody of ours is there any more. */
function leave({ hosts }: World): void {
  for (const { worker, agent } of hosts) {
    worker.kill();
    agent.kill();
  }
}

const running = ({ cluster }: World): number =>
  [...cluster.engines, ...cluster.proxies].filter(isAlive).length;

test("a lease that is turned off does not stop what was started with it", async () => {
  const { world, job } = await deployed(60);
  const before = running(world);
  job.lease(0);
  await world.run(5 * 60_000);
  leave(world);
  await world.run(10 * 60_000);
  expect(running(world)).toBe(before);
  expect(world.violations).toEqual([]);
});

test("a lease that is turned off while no worker is there is off for what runs when one is back in time", async () => {
  const { world, job } = await deployed(60);
  const before = running(world);
  leave(world);
  job.lease(0);
  await world.run(50_000);
  world.addHost();
  await world.run(10_000);
  leave(world);
  await world.run(10 * 60_000);
  expect(running(world)).toBe(before);
});

for (const [from, to] of [
  [3_600, 60],
  [20, 60],
  [0, 60],
] as const)
  test(`a lease of ${from} s that becomes ${to} s is ${to} s for what runs`, async () => {
    const { world, job } = await deployed(from);
    const before = running(world);
    job.lease(to);
    await world.run(toldWithinMs);
    leave(world);
    await world.run(to * 1_000 - 1_000);
    expect(running(world)).toBe(before);
    await world.run(stopWithinMs);
    expect(running(world)).toBe(0);
  });
