import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { JobSpec } from "../domain/spec.ts";
import { print } from "./output.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Installs vLLM for CPU and makes the tiny model when they are missing, and points the spec at both. */
export async function prepareVllm(spec: JobSpec, cancelSignal: AbortSignal): Promise<JobSpec> {
  const options = { stdio: "inherit", cancelSignal } as const;
  await execa(process.execPath, [`${root}scripts/setup-vllm.mjs`], options);
  const model = spec.roles.prefill.model ?? "";
  const program = [`${root}scripts/make-tiny-model.py`, model];
  await execa(`${root}.venv-vllm/bin/python`, program, options);
  print(`model ${model}: a tiny Llama with random weights, so its words mean nothing`);
  return { ...spec, engineCommand: [`${root}.venv-vllm/bin/vllm`, "serve"] };
}
