import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { startLoad } from "../faults/load.ts";
import { eventually } from "../support/eventually.ts";
import { rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "demo", {
    numGpus: 6,
    prefill: { replicas: 1 },
    decode: { replicas: 1 },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, "demo", "READY");
});
afterAll(async () => rig.stop());

const generations = async (): Promise<readonly string[]> => {
  const { phase, replicas } = await rig.client.status("demo");
  return [phase, ...replicas.map(({ name, generation }) => `${name} g${generation}`)];
};

test.each([
  ["decode-0", ["READY", "prefill-0 g1", "decode-0 g2"]],
  ["prefill-0", ["READY", "prefill-0 g2", "decode-0 g2"]],
])(
  "the only replica of a role, %s, is restarted under load, and no request fails",
  async (replica, after) => {
    const load = startLoad(spec);
    await rig.client.restart("demo", replica);
    await eventually(
      "the new generation serves, alone",
      async () => String(await generations()) === String(after),
      90_000,
    );
    const outcomes = await load.stop();
    expect(outcomes.filter(({ kind }) => kind !== "ok")).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(10);
    const { placementGroups } = await rig.agent.call("list", { job: "demo" });
    expect(placementGroups).toHaveLength(2);
  },
);

test("without room for another beside it that is refused, unless the outage is accepted", async () => {
  spec = { ...spec, numGpus: 5 };
  await rig.client.apply(spec);
  await untilPhase(rig.client, "demo", "READY");
  await expect(rig.client.restart("demo", "decode-0")).rejects.toThrow(
    "decode-0 is the only decode replica, and num_gpus 5 leaves no room for another beside it (6 would do)",
  );
  await rig.client.restart("demo", "decode-0", { outage: true });
  await eventually(
    "it is new",
    async () => String(await generations()) === "READY,prefill-0 g2,decode-0 g3",
    90_000,
  );
});
