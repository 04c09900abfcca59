import { join } from "node:path";
import { expect } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { freePort } from "../../src/dev/ports.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { expectedText } from "../../src/sim/text.ts";
import { complete, leftOf } from "./rig.ts";
import type { Rig } from "./rig.ts";

/** A job of one simulated engine of each role, whose proxy is described as a user would, in YAML. */
export async function jobOf(
  rig: Rig,
  name: string,
  scheduler: string,
  more = "",
): Promise<JobSpec> {
  const port = await freePort(26_300 + Math.floor(Math.random() * 500));
  const text = `
num_gpus: 16
working_dir: ${join(rig.dir, name)}
engine: {command: pdjob-sim-engine serve}
stop_grace: 2
scheduler:
  port: ${port}
${scheduler.replace(/^/gm, "  ")}
general: {params: {model: sim/tiny, served_model_name: sim}}
prefill: {num_gpus: 2, replicas: 1, params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer}}}
decode: {num_gpus: 2, replicas: 1, params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer}}}
${more}`;
  const parsed = parseConfig(text, { file: `${name}.yaml`, name });
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join("\n"));
  return parsed.spec;
}

/** The proxy hands a prompt through both engines. */
export async function answers(spec: JobSpec, prompt: string): Promise<void> {
  const { status, text } = await complete(spec, { prompt, max_tokens: 5 });
  expect(status, text).toBe(200);
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", prompt, 5));
}

/** Stops a job and looks that nothing of it is left. */
export async function endJob(rig: Rig, spec: JobSpec): Promise<void> {
  await rig.client.stop(spec.name);
  await rig.client.result(spec.name);
  expect(await leftOf(rig, spec)).toEqual([]);
}
