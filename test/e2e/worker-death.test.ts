import { afterAll, beforeAll, expect, test } from "vitest";
import { expectedText } from "../../src/sim/text.ts";
import { startDyingRig } from "../support/dying-rig.ts";
import { complete, leftOf, rigSpec, untilPhase } from "../support/rig.ts";
import { incarnationOf, processesOf } from "../support/processes.ts";

/** Every step of a first deployment. */
const kinds = [
  "planTurn",
  "reservePlacementGroup",
  "startPrefill",
  "readKvIp",
  "startDecode",
  "waitHealthy",
  "renderProxy",
  "runProxy",
  "setMembership",
];
let rig: Awaited<ReturnType<typeof startDyingRig>>;

beforeAll(async () => {
  rig = await startDyingRig(kinds);
});
afterAll(async () => rig.stop());

test(
  "a job becomes READY though the worker is SIGKILLed right before and right after each of its steps",
  { timeout: 480_000 },
  async () => {
    const spec = await rigSpec(rig, "deaths", { timeoutS: 450 });
    await rig.client.start(spec);
    const status = await untilPhase(rig.client, "deaths", "READY", 450_000);
    expect(rig.deaths().toSorted()).toEqual(
      kinds.flatMap((kind) => [`after ${kind}`, `before ${kind}`]).toSorted(),
    );

    expect(status.replicas.map(({ name, generation }) => `${name} g${generation}`)).toEqual([
      "prefill-0 g1",
      "prefill-1 g1",
      "decode-0 g1",
      "decode-1 g1",
    ]);
    const { replicas, placementGroups, proxies } = await rig.agent.call("list", { job: "deaths" });
    expect([replicas.length, placementGroups.length, proxies.length]).toEqual([4, 4, 1]);
    const engines = replicas.map(({ pid }) => pid).filter((pid) => pid !== undefined);
    expect(new Set(engines.map((pid) => incarnationOf(pid))).size).toBe(4);
    // Each simulated engine is two processes, as vLLM's server and engine core; the proxy is one.
    expect(processesOf("deaths")).toHaveLength(4 * 2 + 1);

    const { text } = await complete(spec, { prompt: "still here", max_tokens: 5 });
    expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", "still here", 5));
    await rig.client.stop("deaths");
    await rig.client.result("deaths");
    expect(await leftOf(rig, spec)).toEqual([]);
  },
);
