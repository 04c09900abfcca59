import { Option } from "commander";
import type { Command } from "commander";
import { Exit } from "./exit.ts";
import { interruption } from "./interrupt.ts";
import type { QuickstartFlags } from "./quickstart-run.ts";

/** The whole road on one machine: stack, job, requests through the proxy, what to try next. */
export function addQuickstart(program: Command): void {
  program
    .command("quickstart")
    .description("bring up everything on this machine, deploy an example and talk to it")
    .addOption(
      new Option("--engine <kind>", "what serves").choices(["sim", "vllm-cpu"]).default("sim"),
    )
    .option("--exit", "stop everything at the end instead of waiting for Ctrl-C")
    .option("--state-dir <dir>", "where the database, logs and the stack's address are kept")
    .addHelpText(
      "after",
      "\nExamples:\n  npm run quickstart\n  npm run quickstart -- --exit\n  npm run quickstart -- --engine vllm-cpu",
    )
    .action(async (flags: QuickstartFlags) => {
      const interrupt = interruption();
      try {
        // It needs all that a stack and a client do; no other verb shall load that.
        const { runQuickstart } = await import("./quickstart-run.ts");
        await runQuickstart(flags, interrupt);
      } catch (error) {
        // Whatever an interrupted step threw, the interruption is the reason.
        throw interrupt.aborted && !(error instanceof Exit) ? new Exit(130) : error;
      }
    });
}
