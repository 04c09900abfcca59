import type { Command } from "commander";
import { loadConfig, printIssues } from "./config-file.ts";
import { Exit } from "./exit.ts";
import { print, printJson } from "./output.ts";

export function addValidate(program: Command): void {
  program
    .command("validate")
    .description("check a config file; every problem at once, with line and column")
    .argument("<config>", "YAML file, or - for standard input")
    .option("--json", "print {ok, issues} as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client validate job.yaml\n  pdjob-client validate --json job.yaml | jq .issues",
    )
    .action((file: string, { json }: { json?: boolean }) => {
      const { spec, issues } = loadConfig(file);
      if (json) printJson({ ok: spec !== undefined, issues });
      else printIssues(issues);
      if (!spec) throw new Exit(2);
      if (!json) print(`${file}: valid (job ${spec.name})`);
    });
}
