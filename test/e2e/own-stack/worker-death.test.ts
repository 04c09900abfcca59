import { afterAll, beforeAll, expect, test } from "vitest";
import { expectedText } from "../../../src/sim/text.ts";
import { startDyingRig } from "../../support/dying-rig.ts";
import { complete, leftOf, rigSpec, untilPhase } from "../../support/rig.ts";
import { incarnationOf, processesOf } from "../../support/processes.ts";
import { isThorough } from "../../support/thorough.ts";

const beforeAndAfter = (...kinds: readonly string[]): readonly string[] =>
  kinds.flatMap((kind) => [`before ${kind}`, `after ${kind}`]);

/** Each takes some ten seconds: the worker has to come back, and its agent to join Ray again. */
const inCi = (...moments: readonly string[]): readonly string[] => (isThorough ? moments : []);

/** Where the worker dies, by what is asked of the job meanwhile. */
const moments = {
  deploy: [
    ...beforeAndAfter("planTurn", "reservePlacementGroup", "startPrefill", "readKvIp"),
    ...beforeAndAfter("startDecode", "waitHealthy", "sendCanary", "renderProxy", "runProxy"),
    "after ensureReplica deaths-prefill-0-g1",
    "before startEngine deaths-decode-0-g1",
  ],
  scaleDown: [
    ...beforeAndAfter("drainReplica"),
    ...inCi(...beforeAndAfter("setMembership", "stopReplica", "removePlacementGroup")),
  ],
  stop: [
    ...beforeAndAfter("stopReplica deaths-prefill-0-g1"),
    ...inCi(...beforeAndAfter("stopProxy", "sweep")),
  ],
};
/** At 50 ms each: they last until the drain, for which the worker has to come back twice, and end within its deadline. */
const tokens = 800;
let rig: Awaited<ReturnType<typeof startDyingRig>>;

beforeAll(async () => {
  rig = await startDyingRig(Object.values(moments).flat());
});
afterAll(async () => rig.stop());

test(
  "the worker is SIGKILLed right before and right after steps of a deployment, a scale-down and a stop, and nobody notices",
  { timeout: 800_000 },
  async () => {
    // Answers outlast a worker's death, and so does a boot: somebody has to wait for both.
    const envs = { PDJOB_SIM_TOKEN_MS: "50", PDJOB_SIM_BOOT_MS: "8000" };
    const drainS = { prefill: 60, decode: 60 };
    const sides = { prefill: { envs }, decode: { envs } };
    const spec = await rigSpec(rig, "deaths", { timeoutS: 450, drainS, ...sides });
    await rig.client.start(spec);
    const status = await untilPhase(rig.client, "deaths", "READY", 400_000);
    expect(rig.deaths().toSorted()).toEqual(moments.deploy.toSorted());
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

    const answers = ["one", "other"].map((prompt) =>
      complete(spec, { prompt, max_tokens: tokens }),
    );
    await rig.client.scale("deaths", { role: "decode", replicas: 1 });
    for (const [index, prompt] of ["one", "other"].entries()) {
      const { text } = (await answers[index])!;
      expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", prompt, tokens));
    }
    const scaled = await untilPhase(rig.client, "deaths", "READY", 100_000);
    expect(scaled.replicas.map(({ name }) => name)).toEqual(["prefill-0", "prefill-1", "decode-0"]);
    const beforeStop = [...moments.deploy, ...moments.scaleDown];
    expect(rig.deaths().toSorted()).toEqual(beforeStop.toSorted());

    await rig.client.stop("deaths");
    await rig.client.result("deaths");
    expect(rig.deaths().toSorted()).toEqual([...beforeStop, ...moments.stop].toSorted());
    expect(await leftOf(rig, spec)).toEqual([]);
  },
);
