import { afterAll, beforeAll, expect, test } from "vitest";
import { startOwnRig } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { createRespawner } from "./respawn.ts";
import type { Respawner } from "./respawn.ts";
import { runSeed } from "./run.ts";

/** Run when nothing else is asked for; `npm run faults -- --seed N --count M` runs others. */
const fixedSeeds = [1, 2, 3];
const first = Number(process.env["PDJOB_FAULT_SEED"] ?? Number.NaN);
const count = Number(process.env["PDJOB_FAULT_COUNT"] ?? 1);
const steps = Number(process.env["PDJOB_FAULT_STEPS"] ?? 6);
const seeds = Number.isNaN(first)
  ? fixedSeeds
  : Array.from({ length: count }, (_, at) => first + at);

let rig: OwnRig;
let respawner: Respawner;
beforeAll(async () => {
  rig = await startOwnRig();
  respawner = createRespawner(rig);
});
afterAll(async () => {
  await rig.stop();
  await respawner.stop();
});

test.each(seeds)("whatever seed %i does to a job, every promise holds", async (seed) => {
  const { story, violations, requests } = await runSeed(rig, respawner, { seed, steps });
  process.stdout.write(
    `seed ${seed}: ${requests.ok} requests served, ${requests.error} ended in an explained error\n${story.map((line) => `  ${line}\n`).join("")}`,
  );
  expect({ story, violations }).toEqual({ story, violations: [] });
  expect(requests.ok).toBeGreaterThan(0);
});
