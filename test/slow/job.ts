import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../src/config/parse.ts";
import { freePort } from "../../src/dev/ports.ts";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Reachable } from "../contract/bed.ts";
import { metric } from "../contract/metrics-text.ts";
import { eventually } from "../support/eventually.ts";
import { allProcesses, treeOf } from "../support/processes.ts";
import { complete, leftOf, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { blockSize, tokensAsked } from "./prompts.ts";
import { bootTimeoutMs, vllm } from "./real.ts";

const example = fileURLToPath(new URL("../../examples/vllm-cpu.yaml", import.meta.url));

export interface CpuJob {
  readonly name: string;
  readonly model: string;
  readonly prefillReplicas: number;
  /** Of both roles; `kv_role` is added. */
  readonly kv: Readonly<Record<string, unknown>>;
}

/** The shipped example with another connector, another count and this rig's paths. */
export async function cpuSpec(
  rig: Rig,
  { name, model, prefillReplicas, kv }: CpuJob,
): Promise<JobSpec> {
  const config = parse(readFileSync(example, "utf8"));
  const port = await freePort(25_021);
  const params = { ...config.general.params, model, block_size: blockSize };
  const role = (kvRole: string, replicas: number) => ({
    num_gpus: 0,
    replicas,
    params: { kv_transfer_config: { ...kv, kv_role: kvRole } },
  });
  const text = stringify({
    ...config,
    name,
    timeout: bootTimeoutMs / 1_000,
    working_dir: join(rig.dir, name),
    engine: { command: `${vllm} serve` },
    scheduler: { port },
    general: { params },
    prefill: role("kv_producer", prefillReplicas),
    decode: role("kv_consumer", 1),
  });
  const parsed = parseConfig(text, { file: "vllm-cpu.yaml", name });
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join("\n"));
  return parsed.spec;
}

/** Starts the job and waits for READY; answers with the seconds that took. */
export async function deploy({ client }: Rig, spec: JobSpec): Promise<number> {
  const startedMs = Date.now();
  await client.start(spec);
  await untilPhase(client, spec.name, "READY", bootTimeoutMs);
  return (Date.now() - startedMs) / 1_000;
}

/** The ready engines of a role, as they are now. */
export async function enginesOf(
  { client, agent }: Rig,
  { name }: JobSpec,
  role: Role,
): Promise<readonly (Reachable & { readonly pid: number; readonly generation: number })[]> {
  const { replicas } = await client.status(name);
  const listed = await agent.call("list", { job: name });
  return replicas
    .filter((one) => one.role === role)
    .map(({ name: replica, url = "", generation }) => {
      const pid = listed.replicas.find(
        (one) => `${one.role}-${one.index}` === replica && one.generation === generation,
      )?.pid;
      return { url, pid: pid ?? 0, generation };
    });
}

/** What the proxy answers to each prompt, token by token. */
export async function answersOf(
  spec: JobSpec,
  prompts: readonly string[],
): Promise<readonly { readonly ids: readonly number[]; readonly promptTokens: number }[]> {
  const answers = [];
  for (const prompt of prompts) {
    const { status, text } = await complete(spec, { model: "tiny", prompt, ...tokensAsked });
    expect(status, text).toBe(200);
    const { choices, usage } = JSON.parse(text);
    answers.push({ ids: choices[0].token_ids, promptTokens: usage.prompt_tokens });
  }
  return answers;
}

/** Kills an engine's API process and waits until a newer generation serves. */
export async function killAndHeal(rig: Rig, spec: JobSpec, role: Role): Promise<void> {
  const [victim] = await enginesOf(rig, spec, role);
  process.kill(victim?.pid ?? 0, "SIGKILL");
  await eventually(
    `${role}-0 serves under a newer generation`,
    async () => {
      const { phase } = await rig.client.status(spec.name);
      const [now] = await enginesOf(rig, spec, role);
      return phase === "READY" && (now?.generation ?? 0) > (victim?.generation ?? 0);
    },
    bootTimeoutMs,
  );
}

/** The prompt tokens of a decode engine, by where their KV came from. */
export async function kvSources(engine: Reachable) {
  const by = (name: string, source: string): Promise<number> => metric(engine, name, { source });
  const tokens = "vllm:prompt_tokens_by_source_total";
  const tiers = "vllm:prompt_tokens_cached_by_source_total";
  return {
    computed: await by(tokens, "local_compute"),
    cached: await by(tokens, "local_cache_hit"),
    transferred: await by(tokens, "external_kv_transfer"),
    byNixl: await by(tiers, "p2p"),
    byStore: await by(tiers, "external_unspecified"),
  };
}

/** Stops the job; answers with what is left of it: names in Ray, processes, ports. */
export async function stopAndLook(rig: Rig, spec: JobSpec): Promise<readonly string[]> {
  const { replicas } = await rig.agent.call("list", { job: spec.name });
  const trees = replicas.flatMap(({ pid }) => (pid === undefined ? [] : treeOf(pid)));
  expect(trees.filter(({ command }) => command.startsWith("VLLM::"))).toHaveLength(
    replicas.length * 2,
  );
  await rig.client.stop(spec.name);
  await rig.client.result(spec.name);
  const pids = new Set(trees.map(({ pid }) => pid));
  const alive = allProcesses().filter(({ pid }) => pids.has(pid));
  return [
    ...(await leftOf(rig, spec)),
    ...alive.map(({ pid, command }) => `process ${pid} ${command}`),
  ];
}
