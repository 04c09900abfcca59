import { afterAll, beforeAll, expect, test } from "vitest";
import { leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

let rig: Rig;
beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

/** Three of the four places that the nodes have for so large a replica. */
const roles = {
  prefill: { replicas: 1, numGpus: 4 },
  decode: { replicas: 2, numGpus: 4 },
} as const;
const timeoutS = 60;

test("of two jobs that race for the GPUs, one is READY; the other says who holds them, fails by that and leaves nothing, or is READY once they are free", async () => {
  const specs = await Promise.all(
    ["left", "right"].map((name) => rigSpec(rig, name, { ...roles, timeoutS })),
  );
  await Promise.all(specs.map((spec) => rig.client.start(spec)));
  const ready = await Promise.race(specs.map(({ name }) => untilPhase(rig.client, name, "READY")));
  const winner = ready.job;
  const loser = specs.find(({ name }) => name !== winner)!;
  const { reason } = await untilPhase(rig.client, loser.name, "WAITING");
  expect(reason).toMatch(new RegExp(`of 16 GPUs are free; .*job ${winner} (holds )?12`));
  const end = await rig.client.result(loser.name).catch((error: Error) => error.message);
  expect(end).toMatch(new RegExp(`timeout of ${timeoutS} s.*job ${winner} (holds )?12`));
  expect((await rig.client.status(loser.name)).failure?.code).toBe("PlacementTimeout");
  expect(await leftOf(rig, loser)).toEqual([]);
  expect((await rig.client.status(winner)).phase).toBe("READY");

  await rig.client.start(loser);
  await untilPhase(rig.client, loser.name, "WAITING");
  await rig.client.stop(winner);
  await untilPhase(rig.client, loser.name, "READY", timeoutS * 1_000);
}, 300_000);
