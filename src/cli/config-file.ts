import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { formatIssue, parseConfig } from "../config/parse.ts";
import type { ConfigIssue, ParseOptions } from "../config/parse.ts";
import type { JobSpec } from "../domain/spec.ts";
import { Exit } from "./exit.ts";
import { colour, printJson, warn } from "./output.ts";

const jobAdvice = "Give the path of a job's YAML file; examples are in examples/.";

export interface LoadedConfig {
  readonly spec?: JobSpec;
  readonly issues: readonly ConfigIssue[];
}

/** Reads and parses a file; a file that cannot be read is an issue like any other. */
export function loadConfig(file: string, more: Omit<ParseOptions, "file"> = {}): LoadedConfig {
  const parsed = parseConfig(readText(file, jobAdvice), { file, ...more });
  return parsed.ok
    ? { spec: withAbsolutePaths(parsed.spec, file), issues: parsed.warnings }
    : { issues: parsed.issues };
}

/** A relative path means one beside the file, wherever the command is typed. */
function withAbsolutePaths(spec: JobSpec, file: string): JobSpec {
  if (spec.upload === undefined) return spec;
  return { ...spec, upload: resolve(file === "-" ? "." : dirname(file), spec.upload) };
}

interface Requirements extends Omit<ParseOptions, "file"> {
  /** The verb answers in JSON: to a config that is none as `validate` does. */
  readonly json?: boolean | undefined;
}

/** The spec, with warnings printed; every issue printed and exit 2 when there is none. */
export function requireSpec(file: string, { json, ...more }: Requirements = {}): JobSpec {
  const { spec, issues } = loadConfig(file, more);
  if (json && !spec) {
    printJson({ ok: false, issues });
    throw new Exit(2);
  }
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
    const label = issue.severity === "error" ? colour("red", "error") : colour("yellow", "warning");
    // The label says the severity, so the text need not.
    warn(`${label} ${formatIssue({ ...issue, severity: "error" })}`);
  }
}

/** Text of a file or, as `-`, of standard input; exit 2 when it cannot be read. */
export function readText(file: string, advice: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new Exit(2, `${file}: ${problemOf(error)}. ${advice}`);
  }
}

function problemOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  if (code === "ENOENT") return "there is no such file";
  return code === "EISDIR" ? "this is a folder" : `it cannot be read (${code})`;
}
