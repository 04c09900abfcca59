import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { createRespawner } from "../faults/respawn.ts";
import type { Respawner } from "../faults/respawn.ts";
import { oddities, watchInvariants } from "../faults/watch.ts";
import { eventually } from "../support/eventually.ts";
import { leftOf, rigSpec, startOwnRig, untilPhase } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";

const counts = { prefill: 2, decode: 2 };
const job = "zombies";
let rig: OwnRig;
let spec: JobSpec;
let respawner: Respawner;

beforeAll(async () => {
  rig = await startOwnRig();
  spec = await rigSpec(rig, job);
  await rig.client.start(spec);
  await untilPhase(rig.client, job, "READY");
  respawner = createRespawner(rig);
});
afterAll(async () => respawner.stop());

test("when Ray's head comes back without its tables while its nodes live on, no engine runs twice", async () => {
  const startedMs = Date.now();
  const watch = watchInvariants(rig, spec);
  await respawner.head();
  await respawner.nodesThatEnd();
  process.stdout.write(`the nodes gave up after ${(Date.now() - startedMs) / 1_000} s\n`);
  await eventually(
    "the job is whole",
    async () => {
      const { phase, reason } = await rig.client.status(job);
      const odd = await oddities(rig, spec, counts);
      if (phase === "READY" && odd.length === 0) return true;
      throw new Error(`${phase}: ${reason}; ${odd.join(", ")}`);
    },
    120_000,
  );
  process.stdout.write(`whole again after ${(Date.now() - startedMs) / 1_000} s\n`);
  // Meanwhile the old ones ran without an actor that anybody can reach: that is Ray's to end.
  const doubled = (await watch.stop()).filter((violation) => violation.includes("more than once"));
  expect(doubled).toEqual([]);
  await rig.client.stop(job);
  await rig.client.result(job);
  expect(await leftOf(rig, spec)).toEqual([]);
});
