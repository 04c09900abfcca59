import { readFileSync } from "node:fs";
import { formatIssue, parseConfig } from "../config/parse.ts";
import type { ConfigIssue } from "../config/parse.ts";
import type { JobSpec } from "../domain/spec.ts";
import { Exit } from "./exit.ts";
import { colour, warn } from "./output.ts";

export interface LoadedConfig {
  readonly spec?: JobSpec;
  readonly issues: readonly ConfigIssue[];
}

/** Reads and parses a file; a file that cannot be read is an issue like any other. */
export function loadConfig(file: string, name?: string): LoadedConfig {
  const text = readText(file);
  const parsed = parseConfig(text, { file, ...(name === undefined ? {} : { name }) });
  return parsed.ok ? { spec: parsed.spec, issues: parsed.warnings } : { issues: parsed.issues };
}

/** The spec, with warnings printed; every issue printed and exit 2 when there is none. */
export function requireSpec(file: string, name?: string): JobSpec {
  const { spec, issues } = loadConfig(file, name);
  printIssues(issues);
  if (spec) return spec;
  const errors = issues.filter(({ severity }) => severity === "error").length;
  throw new Exit(
    2,
    `${file}: ${errors} ${errors === 1 ? "error" : "errors"}. Nothing was started.`,
  );
}

export function printIssues(issues: readonly ConfigIssue[]): void {
  for (const issue of issues) {
    warn(
      `${issue.severity === "error" ? colour("red", "error") : colour("yellow", "warning")} ${formatIssue(issue)}`,
    );
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EISDIR"
          ? "this is a folder"
          : `it cannot be read (${code})`;
    throw new Exit(
      2,
      `${file}: ${what}. Give the path of a job's YAML file; examples are in examples/.`,
    );
  }
}
