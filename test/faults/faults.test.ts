import { afterAll, beforeAll, expect, test } from "vitest";
import { startOwnRig } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { createRespawner } from "./respawn.ts";
import type { Respawner } from "./respawn.ts";
import { neverStruck, tallyOf } from "./rules/tally.ts";
import type { Attempt } from "./rules/tally.ts";
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
  rig = await startOwnRig({ keepTables: true });
  respawner = createRespawner(rig);
});
afterAll(async () => respawner.stop());

const attempts: Attempt[] = [];

test.each(seeds)("whatever seed %i does to a job, every promise holds", async (seed) => {
  const report = await runSeed(rig, respawner, { seed, steps });
  const { story, violations, requests } = report;
  attempts.push(...report.attempts);
  process.stdout.write(
    `seed ${seed}: ${requests.ok} requests served, ${requests.error} ended in an explained error\n${story.map((line) => `  ${line}\n`).join("")}` +
      `  struck: ${tallyOf(report.attempts)}\n`,
  );
  expect({ story, violations }).toEqual({ story, violations: [] });
  expect(requests.ok).toBeGreaterThan(0);
});

test("each kind of fault that was tried often has struck", () => {
  process.stdout.write(`of all seeds struck: ${tallyOf(attempts)}\n`);
  expect(neverStruck(attempts)).toEqual([]);
});
