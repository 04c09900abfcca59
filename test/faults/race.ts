import { setTimeout as sleep } from "node:timers/promises";
import { leftOf, rigSpec } from "../support/rig.ts";
import type { Deed, Target } from "./perform.ts";

/** How long other jobs hold GPUs that this one may want. */
const raceForMs = 5_000;

/** Two jobs at once want GPUs that cannot be enough for both, and maybe for a scale-up of ours. Neither may leave anything. */
export async function raceForGpus(
  pick: number,
  { rig, spec: { name: job }, violations }: Target,
): Promise<Deed> {
  const racers = await Promise.all(
    ["left", "right"].map((side) =>
      rigSpec(rig, `${side}-${job}-${pick}`, {
        prefill: { replicas: 1, numGpus: 4 },
        decode: { replicas: 1, numGpus: 4 },
      }),
    ),
  );
  await Promise.all(racers.map((spec) => rig.client.start(spec)));
  await sleep(raceForMs);
  const phases = await Promise.all(
    racers.map(async ({ name }) => (await rig.client.status(name)).phase),
  );
  await Promise.all(racers.map(({ name }) => rig.client.stop(name)));
  await Promise.all(racers.map(({ name }) => rig.client.result(name)));
  const left = (await Promise.all(racers.map((spec) => leftOf(rig, spec)))).flat();
  violations.push(...left.map((what) => `a racer left ${what}`));
  return { struck: true, text: `${phases.join(" and ")}, stopped` };
}
