import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Longest boot of an engine on 2 cores beside two others, and of everything that must be installed for it. */
export const bootTimeoutMs = 400_000;

export const vllm = join(root, ".venv-vllm/bin/vllm");
const python = join(root, ".venv-vllm/bin/python");

/** What every engine on a small machine without a GPU needs: see examples/vllm-cpu.yaml. */
export const engineEnv = {
  HF_HUB_OFFLINE: "1",
  OMP_NUM_THREADS: "1",
  VLLM_CPU_OMP_THREADS_BIND: "nobind",
  UCX_TLS: "tcp,sm,self",
};

/** Installs vLLM unless it is there, and makes the tiny model in `dir`. Answers with the model's folder. */
export async function setUpReal(dir: string): Promise<string> {
  await execa(process.execPath, [join(root, "scripts/setup-vllm.mjs")], { stdio: "inherit" });
  const model = join(dir, "tiny-model");
  await execa(python, [join(root, "scripts/make-tiny-model.py"), model]);
  return model;
}

/** What a Python program of ours, in vLLM's environment, says in its last line; vLLM logs to standard output too. */
export async function askVllm<T>(script: string, input: unknown = null): Promise<T> {
  const program = fileURLToPath(new URL(script, import.meta.url));
  const { stdout } = await execa(python, [program], {
    input: JSON.stringify(input),
    env: engineEnv,
  });
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "null") as T;
}
