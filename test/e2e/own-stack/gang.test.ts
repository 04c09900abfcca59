import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobSpec } from "../../../src/domain/spec.ts";
import { expectedText } from "../../../src/sim/text.ts";
import { eventually } from "../../support/eventually.ts";
import { incarnationOf, processesOf } from "../../support/processes.ts";
import { startDyingRig } from "../../support/dying-rig.ts";
import { complete, leftOf, rigSpec, untilPhase } from "../../support/rig.ts";

/** Two ranks: the calls between which the worker dies while it starts the gang of the first job. */
const calls = [
  "ensureReplica wide-prefill-0-g1-r1",
  "startEngine wide-prefill-0-g1-r1",
  "startEngine wide-prefill-0-g1",
];
const params = (size: number) => ({ served_model_name: "sim", tensor_parallel_size: size });
/** What a stop promises. */
const goneWithinMs = 30_000;
let rig: Awaited<ReturnType<typeof startDyingRig>>;

beforeAll(async () => {
  rig = await startDyingRig(calls);
});
afterAll(async () => rig.stop());

const listed = async (job: string) => {
  const { replicas, followers = [], placementGroups } = await rig.agent.call("list", { job });
  return { ranks: [...replicas, ...followers], placementGroups };
};

const pidOf = async (name: string): Promise<number> => {
  const { ranks } = await listed(name.split("-", 1)[0] ?? "");
  return ranks.find((one) => one.name === name)?.pid ?? 0;
};

/** Prefill is back under this generation, decode never left its first one, and nothing of the older one runs. */
async function onlyPrefillIsNow(spec: JobSpec, generation: number): Promise<void> {
  const { name } = spec;
  await eventually(`prefill-0 of ${name} is g${generation} and READY`, async () => {
    const { phase, replicas } = await rig.client.status(name);
    return phase === "READY" && replicas[0]?.generation === generation;
  });
  const { ranks } = await listed(name);
  const expected = spec.roles.decode.replicas;
  expect(ranks.map((one) => one.name).toSorted()).toEqual([
    ...Array.from({ length: expected }, (_, index) => `${name}-decode-${index}-g1`),
    `${name}-prefill-0-g${generation}`,
    `${name}-prefill-0-g${generation}-r1`,
  ]);
  const living = new Set(processesOf(name).map((pid) => incarnationOf(pid)));
  expect(living).toEqual(new Set([...ranks.map((one) => one.name), `${name}-proxy-g1`]));
  await answers(spec);
}

async function answers(spec: JobSpec): Promise<void> {
  const { status, text } = await complete(spec, { prompt: "a gang of two", max_tokens: 6 });
  expect(status).toBe(200);
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", "a gang of two", 6));
}

async function isStopped(spec: JobSpec): Promise<void> {
  await rig.client.stop(spec.name);
  await rig.client.result(spec.name);
  // A rank whose actor does not answer in time is ended by its guard, which nobody can wait for.
  await expect.poll(() => leftOf(rig, spec), { timeout: goneWithinMs }).toEqual([]);
}

describe("a prefill replica of 12 GPUs on nodes of 8", () => {
  let spec: JobSpec;
  beforeAll(async () => {
    spec = await rigSpec(rig, "wide", {
      gpusPerWorker: 2,
      timeoutS: 180,
      restart: { restartsMax: 10, windowS: 600 },
      prefill: { numGpus: 12, replicas: 1, params: params(12) },
    });
  });

  test(
    "becomes a gang of a rank on each node, though the worker is killed between its ranks",
    { timeout: 240_000 },
    async () => {
      await rig.client.start(spec);
      const { replicas } = await untilPhase(rig.client, "wide", "READY", 180_000);
      expect(rig.deaths().toSorted()).toEqual(
        calls.flatMap((call) => [`after ${call}`, `before ${call}`]).toSorted(),
      );
      const { ranks, placementGroups } = await listed("wide");
      const hosts = ranks
        .filter(({ role }) => role === "prefill")
        .map(({ endpoint }) => endpoint?.host);
      expect(new Set(hosts).size).toBe(2);
      expect(replicas[0]).toMatchObject({ name: "prefill-0", generation: 1, nodeIps: hosts });
      expect(placementGroups.find(({ name }) => name === "wide-prefill-0-g1")?.bundles).toEqual([
        { GPU: 6 },
        { GPU: 6 },
      ]);
      // Each rank of a simulated engine is two processes; the proxy is one.
      expect(processesOf("wide")).toHaveLength((2 + 2) * 2 + 1);
      await answers(spec);
    },
  );

  test("is replaced whole, and alone, when its follower is killed", async () => {
    process.kill(await pidOf("wide-prefill-0-g1-r1"), "SIGKILL");
    await onlyPrefillIsNow(spec, 2);
  });

  test("is replaced whole, and alone, when its rank 0 is killed", async () => {
    process.kill(await pidOf("wide-prefill-0-g2"), "SIGKILL");
    await onlyPrefillIsNow(spec, 3);
  });

  test("leaves nothing when the job is stopped", async () => isStopped(spec));
});

test("a gang whose rank 0 only hangs when a rank is lost is replaced as well", async () => {
  const spec = await rigSpec(rig, "hung", {
    gpusPerWorker: 6,
    prefill: {
      numGpus: 12,
      replicas: 1,
      params: params(12),
      envs: { PDJOB_SIM_RANK_LOSS: "hang" },
    },
    decode: { replicas: 1 },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, "hung", "READY");
  process.kill(await pidOf("hung-prefill-0-g1-r1"), "SIGKILL");
  await onlyPrefillIsNow(spec, 2);
  const { events } = await rig.client.status("hung");
  await isStopped(spec);
  expect(events.map(({ text }) => text).join("\n")).toContain(
    "stopReplica prefill-0 g1: Rank 1 of prefill-0 g1 was ended by SIGKILL.",
  );
});

test("a replica of 16 GPUs takes both nodes of 8, beside an engine without GPUs", async () => {
  const spec = await rigSpec(rig, "whole", {
    gpusPerWorker: 8,
    numCpus: 1,
    prefill: { numGpus: 16, replicas: 1, params: params(16) },
    decode: { numGpus: 0, replicas: 1, params: { served_model_name: "sim" } },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, "whole", "READY");
  const { placementGroups } = await listed("whole");
  const half = { GPU: 8, CPU: 1 };
  expect(Object.fromEntries(placementGroups.map(({ name, bundles }) => [name, bundles]))).toEqual({
    "whole-decode-0-g1": [{ CPU: 1 }],
    "whole-prefill-0-g1": [half, half],
  });
  await answers(spec);
  await isStopped(spec);
});

test("a rank that cannot boot ends the job with that rank's last lines", async () => {
  const spec = await rigSpec(rig, "odd", {
    prefill: { numGpus: 12, replicas: 1, params: { served_model_name: "sim" } },
    decode: { replicas: 1 },
  });
  await rig.client.start(spec);
  await expect(rig.client.result("odd")).rejects.toThrow(
    /(?:The engine|Rank 1) of prefill-0 g1 exited with code 1\. Its last lines:\n[^]*Invalid data-parallel launch options: `--nnodes 2` must evenly divide the total world size \(1\)/,
  );
  expect(await leftOf(rig, spec)).toEqual([]);
});

test("a replica that no layout fits is INFEASIBLE, with the layouts that were tried", async () => {
  const spec = await rigSpec(rig, "huge", {
    numGpus: 32,
    gpusPerWorker: 4,
    prefill: { numGpus: 24, replicas: 1 },
    decode: { replicas: 1 },
  });
  await rig.client.start(spec);
  await expect(rig.client.result("huge")).rejects.toThrow(
    /^No placement group for prefill-0 g1\. It needs 24 GPUs and 0 CPUs on one node, and no node has that many at all \(.*\)\. Nor do the nodes hold it as 2 × 12, 3 × 8, 6 × 4 GPUs \(gpus_per_worker 4\)\. Lower num_gpus or num_cpus, or add a larger node\.$/,
  );
  expect(await leftOf(rig, spec)).toEqual([]);
});
