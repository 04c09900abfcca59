import type { Command } from "commander";
import type { Stack } from "../dev/stack.ts";
import { Exit } from "./exit.ts";
import { interruption, untilAborted } from "./interrupt.ts";
import { linesFor, shownPath } from "./invocation.ts";
import { portNumber, positive } from "./numbers.ts";
import { print } from "./output.ts";

interface DevFlags {
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
    .option("--nodes <n>", "Ray nodes beside the head", positive("--nodes"), 2)
    .option("--gpus-per-node <n>", "declared GPUs of each node", positive("--gpus-per-node"), 8)
    .option(
      "--port <n>",
      "Temporal's port; the next free one is taken (default: 7233)",
      portNumber("--port"),
    )
    .option(
      "--ui-port <n>",
      "Web UI's port; the next free one is taken (default: 8233)",
      portNumber("--ui-port"),
    )
    .option("--state-dir <dir>", "where the database, logs and the stack's address are kept")
    .addHelpText(
      "after",
      "\nEvery other verb finds the stack by itself. Its jobs are kept: the next `dev` carries them on.\n\nExamples:\n  pdjob-client dev\n  pdjob-client dev --nodes 4 --gpus-per-node 8",
    )
    .action(async (flags: DevFlags) => {
      const interrupt = interruption();
      const { startStack } = await import("../dev/stack.ts");
      const stack = await startStack({ ...flags, signal: interrupt, onProgress: timed() }).catch(
        (error: unknown) => {
          throw interrupt.aborted ? new Exit(130, "interrupted; nothing is left running") : error;
        },
      );
      try {
        await describe(stack);
        await untilAborted(interrupt);
        print("\nstopping …");
      } finally {
        await stack.stop();
      }
    });
}

async function describe(stack: Stack): Promise<void> {
  const { client } = await linesFor(stack);
  const start = client("start", shownPath("examples/quickstart.yaml"));
  print(`
Web UI   ${stack.uiUrl}
Temporal ${stack.temporalAddress}
Ray      ${stack.rayAddress} (simulated GPUs)
logs     ${stack.logDir}

next: ${start}     Ctrl-C stops everything`);
}

/** Progress lines with the seconds since now. */
export function timed(): (text: string) => void {
  const startedMs = Date.now();
  return (text) => print(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${text}`);
}
