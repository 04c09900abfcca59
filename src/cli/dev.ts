import type { Command } from "commander";
import { startStack } from "../dev/stack.ts";
import { Exit } from "./exit.ts";
import { print } from "./output.ts";

export interface DevFlags {
  readonly nodes: number;
  readonly gpusPerNode: number;
  readonly port?: number;
  readonly uiPort?: number;
  readonly stateDir?: string;
}

export function addDev(program: Command): void {
  program
    .command("dev")
    .description("run Temporal, a local Ray cluster with simulated GPUs and a worker, until Ctrl-C")
    .option("--nodes <n>", "Ray nodes beside the head", positive, 2)
    .option("--gpus-per-node <n>", "declared GPUs of each node", positive, 8)
    .option("--port <n>", "Temporal's port; the next free one is taken (default: 7233)", positive)
    .option("--ui-port <n>", "Web UI's port; the next free one is taken (default: 8233)", positive)
    .option("--state-dir <dir>", "where the database, logs and the stack's address are kept")
    .addHelpText(
      "after",
      "\nEvery other verb finds the stack by itself.\n\nExamples:\n  pdjob-client dev\n  pdjob-client dev --nodes 4 --gpus-per-node 8",
    )
    .action(async (flags: DevFlags) => {
      const stack = await startStack({ ...flags, onProgress: timed() });
      print(
        `\nWeb UI   ${stack.uiUrl}\nTemporal ${stack.temporalAddress}\nRay      ${stack.rayAddress} (simulated GPUs)\nlogs     ${stack.logDir}`,
      );
      print("\nnext: pdjob-client start examples/quickstart.yaml     Ctrl-C stops everything");
      await untilInterrupted();
      print("\nstopping …");
      await stack.stop();
    });
}

export function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Exit(2, `${text}: expected a whole number above 0.`);
}

/** Progress lines with the seconds since now. */
export function timed(): (text: string) => void {
  const startedMs = Date.now();
  return (text) => print(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${text}`);
}

export const untilInterrupted = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => resolve());
  });
