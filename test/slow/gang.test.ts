import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { complete, leftOf, rigSpec, startRig } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { deploy, engineOf } from "./job.ts";
import { kvOf, kvSince } from "./kv-sources.ts";
import { bootTimeoutMs, engineEnv, setUpReal, vllm } from "./real.ts";

const prompts = ["The quick brown fox", "keys and values, values and keys", "a cache of keys"];
let rig: Rig;
let spec: JobSpec;

/**
 * The nodes' GPUs are declared, and vLLM computes on the CPU: a prefill of 16 GPUs becomes a gang of two ranks, which
 * are tensor-parallel over two "nodes" of this machine.
 */
beforeAll(async () => {
  rig = await startRig();
  const model = await setUpReal(rig.dir);
  const params = {
    served_model_name: "tiny",
    dtype: "float32",
    enforce_eager: true,
    max_model_len: 512,
    max_num_seqs: 4,
    kv_cache_memory_bytes: "128M",
    tensor_parallel_size: 2,
  };
  const role = (kvRole: string) => ({
    replicas: 1,
    model,
    params,
    envs: engineEnv,
    kvTransfer: { kv_connector: "NixlConnector", kv_role: kvRole, kv_buffer_device: "cpu" },
  });
  spec = await rigSpec(rig, "real", {
    engineCommand: [vllm, "serve"],
    timeoutS: bootTimeoutMs / 1_000,
    gpusPerWorker: 8,
    numCpus: 1,
    stopGraceS: 20,
    prefill: { ...role("kv_producer"), numGpus: 16 },
    decode: { ...role("kv_consumer"), numGpus: 0 },
  });
});
afterAll(async () => rig?.stop());

const ranksOf = async (generation: number) => {
  const { replicas, followers = [] } = await rig.agent.call("list", { job: "real" });
  return [...replicas, ...followers].filter(
    (one) => one.role === "prefill" && one.generation === generation,
  );
};

/** What the gang says by itself, without handing anything over. */
async function aloneOn(url: string, prompt: string): Promise<string> {
  const answer = await request(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt, max_tokens: 16, temperature: 0 }),
  });
  return ((await answer.body.json()) as { choices: { text: string }[] }).choices[0]?.text ?? "";
}

/** Answers through the proxy are the gang's own, and their KV came from both of its ranks. */
async function handsOver(): Promise<void> {
  const prefill = await engineOf(rig, spec, "prefill");
  const decode = await engineOf(rig, spec, "decode");
  // An idle engine computes the few tokens that it is asked for now and then.
  const before = await kvOf(decode);
  for (const prompt of prompts) {
    const split = await complete(spec, { model: "tiny", prompt, max_tokens: 16, temperature: 0 });
    expect(split.status, split.text).toBe(200);
    expect(JSON.parse(split.text).choices[0].text).toBe(await aloneOn(prefill.url, prompt));
  }
  const { computed, transferred } = await kvSince(decode, before);
  expect(transferred).toBeGreaterThan(prompts.length);
  expect(computed).toBe(0);
}

test("real vLLM runs one prefill engine on two nodes and hands its KV over", async () => {
  await deploy(rig, spec);
  const { replicas } = await rig.client.status("real");
  expect(new Set(replicas[0]?.nodeIps).size).toBe(2);
  expect(await ranksOf(1)).toHaveLength(2);
  await handsOver();
});

test("a rank that is killed takes its gang along, and the next one hands over as well", async () => {
  const [, follower] = await ranksOf(1);
  if (follower?.pid === undefined) throw new Error("prefill-0 has no second rank");
  process.kill(follower.pid, "SIGKILL");
  await eventually(
    "prefill-0 is g2 and READY",
    async () => {
      const { phase, replicas } = await rig.client.status("real");
      return phase === "READY" && replicas[0]?.generation === 2;
    },
    bootTimeoutMs,
  );
  expect(await ranksOf(1)).toEqual([]);
  expect((await rig.client.status("real")).replicas[1]?.generation).toBe(1);
  await handsOver();
});

test("stop leaves nothing of either rank", async () => {
  await rig.client.stop("real");
  await rig.client.result("real");
  expect(await leftOf(rig, spec)).toEqual([]);
});
