import type { Command } from "commander";
import { loadConfig, printIssues } from "./config-file.ts";
import { Exit } from "./exit.ts";
import { print, printJson } from "./output.ts";
import { versionOption, withVersion } from "./vllm-version.ts";
import type { VersionFlag } from "./vllm-version.ts";

export function addValidate(program: Command): void {
  withVersion(program.command("validate"))
    .description("check a config file; every problem at once, with line and column")
    .argument("<config>", "YAML file, or - for standard input")
    .option("--json", "print {ok, issues} as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client validate job.yaml\n  pdjob-client validate --json job.yaml | jq .issues\n  pdjob-client validate --vllm-version 0.24 job.yaml",
    )
    .action((file: string, { json, ...flags }: VersionFlag & { json?: boolean }) => {
      const { spec, issues } = loadConfig(file, versionOption(flags));
      if (json) printJson({ ok: spec !== undefined, issues });
      else printIssues(issues);
      if (!spec) throw new Exit(2);
      if (!json) print(`${file}: valid (job ${spec.name})`);
    });
}
