import { expect, test } from "vitest";
import { makeSpec } from "../support/spec.ts";
import { noticedAfterMs } from "./cluster/engine.ts";
import { crashProcess, hangProcess } from "./faults.ts";
import type { Job } from "./job.ts";
import { unsettled } from "./settle.ts";
import { liveEngines, liveProxies, replicaOf } from "./truth.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

const seeds = 10;
const deployWithinMs = 60_000;
/** A look every 250 ms, and the way from there into a plan and to the workflow. */
const noticedMs = 1_000;
/** Longer than anything here is watched, so that what is being stopped stays so. */
const graceS = 120;
const stepMs = 1;

async function deployed(seed: number) {
  const world = createWorld({ seed });
  const job = world.start(makeSpec({ stopGraceS: graceS }))!;
  expect(await world.run(deployWithinMs, () => unsettled(world, job).length === 0)).toBe(true);
  return { world, job };
}

function engine({ cluster }: World, replica: string) {
  const found = liveEngines(cluster, "demo").find(({ name }) => replicaOf(name) === replica);
  if (!found) throw new Error(`${replica} has no engine`);
  return found;
}

const phaseOf = (job: Job, target: string): string | undefined => {
  const status = job.status();
  return target === "proxy"
    ? status?.proxy.phase
    : status?.replicas.find(({ name }) => name === target)?.phase;
};

/** How long the workflow goes on saying that it serves, in milliseconds of virtual time. */
async function untilNoticed({ clock, run }: World, job: Job, target: string): Promise<number> {
  const sinceMs = clock.nowMs();
  const maxMs = 60_000;
  while (phaseOf(job, target) === "READY" && clock.nowMs() < sinceMs + maxMs) await run(stepMs);
  return clock.nowMs() - sinceMs;
}

/** A hung engine hears no SIGTERM: from then on something is being stopped for its whole grace. */
async function beginStop(world: World): Promise<void> {
  hangProcess(world, engine(world, "decode-1"), graceS * 2_000);
  const isStopping = () => world.trace.some((line) => line.endsWith("opened stopReplica"));
  expect(await world.run(graceS * 500, isStopping)).toBe(true);
  await world.run(5_000);
}

for (const [when, before] of [
  ["while nothing is done", async () => undefined],
  ["while another engine is being stopped", beginStop],
] as const) {
  for (const target of ["prefill-0", "proxy"])
    test(`${target}, killed ${when}, is noticed within a second`, async () => {
      for (let seed = 0; seed < seeds; seed++) {
        const { world, job } = await deployed(seed);
        await before(world);
        const hit =
          target === "proxy" ? liveProxies(world.cluster, "demo")[0]! : engine(world, target);
        expect(phaseOf(job, target)).toBe("READY");
        crashProcess(world, hit);
        expect(await untilNoticed(world, job, target)).toBeLessThanOrEqual(noticedMs);
        expect(world.violations).toEqual([]);
      }
    });

  test(`an engine that hangs ${when} is noticed after three probes that failed, and not before`, async () => {
    for (let seed = 0; seed < seeds; seed++) {
      const { world, job } = await deployed(seed);
      await before(world);
      const hit = engine(world, "prefill-0");
      hangProcess(world, hit, graceS * 2_000);
      const probedMs = noticedAfterMs(hit);
      expect(probedMs).toBe(3 * (hit.probe.intervalMs + hit.probe.timeoutMs));
      const noticed = await untilNoticed(world, job, "prefill-0");
      expect(noticed).toBeGreaterThanOrEqual(probedMs);
      expect(noticed).toBeLessThanOrEqual(probedMs + noticedMs);
    }
  });
}
