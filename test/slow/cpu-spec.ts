import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../src/config/parse.ts";
import { freePort } from "../../src/dev/ports.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Rig } from "../support/rig.ts";
import { blockSize } from "./prompts.ts";
import { bootTimeoutMs, vllm } from "./real.ts";

const example = fileURLToPath(new URL("../../examples/vllm-cpu.yaml", import.meta.url));

interface CpuJob {
  readonly name: string;
  readonly model: string;
  /** Of both roles; `kv_role` is added. */
  readonly kv: Readonly<Record<string, unknown>>;
  readonly prefills: number;
}

/** The shipped example with another connector and this rig's paths. */
export async function cpuSpec(rig: Rig, { name, model, kv, prefills }: CpuJob): Promise<JobSpec> {
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
    prefill: role("kv_producer", prefills),
    decode: role("kv_consumer", 1),
  });
  const parsed = parseConfig(text, { file: "vllm-cpu.yaml", name });
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join("\n"));
  return parsed.spec;
}
