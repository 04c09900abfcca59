import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { Contender } from "../contender.ts";
import { freePorts, startProgram } from "../program.ts";

/** vLLM's own router, where scripts/setup-extra.mjs router has installed it. */
export const router: Contender = {
  name: "vllm-router",
  hops: 2,
  warmsUp: false,
  async start({ root, dir, prefillPorts, decodePorts }) {
    const command = join(root, ".venv-router", "bin", "vllm-router");
    if (!existsSync(command)) return "it is not installed (node scripts/setup-extra.mjs router)";
    const python = join(root, ".venv-router", "bin", "python");
    const { stdout } = await execa(python, ["-c", version]);
    const [port = 0, metricsPort = 0] = await freePorts(2);
    const urls = (flag: string, ports: readonly number[]): readonly string[] =>
      ports.flatMap((one) => [flag, `http://127.0.0.1:${one}`]);
    const args = [
      "--vllm-pd-disaggregation",
      "--kv-connector",
      "nixl",
      "--policy",
      "round_robin",
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      "--prometheus-port",
      String(metricsPort),
      ...urls("--prefill", prefillPorts),
      ...urls("--decode", decodePorts),
    ];
    const program = await startProgram({ name: "vllm-router", command, args, dir, port });
    return { port, ...program, version: `vllm-router ${stdout.trim()}` };
  },
};

const version = "import importlib.metadata; print(importlib.metadata.version('vllm-router'))";
