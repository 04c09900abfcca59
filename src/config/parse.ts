import { LineCounter } from "yaml";
import { jobNamePattern } from "../domain/names.ts";
import { sizeProblem } from "../domain/spec-shape.ts";
import type { JobSpec } from "../domain/spec.ts";
import { buildSpec } from "./build.ts";
import { readDocument } from "./document.ts";
import { issuesMax } from "./limits.ts";
import { offsetOf } from "./node.ts";
import { pathText, problem } from "./problem.ts";
import type { Finding, Problem } from "./problem.ts";
import { checkShape } from "./reading.ts";
import type { Reading } from "./reading.ts";
import { checkRules } from "./rules.ts";
import { legalName } from "./schema.ts";

/** One thing wrong with a file, and where. `line` and `col` count from 1. */
export interface ConfigIssue {
  readonly file: string;
  readonly line: number;
  readonly col: number;
  /** `prefill.params.model`; empty when it is about the file as a whole. */
  readonly path: string;
  /** What is wrong, and what to do. Never quotes a value that could be a secret. */
  readonly message: string;
  readonly severity: "error" | "warning";
}

export type ParsedConfig =
  | { readonly ok: true; readonly spec: JobSpec; readonly warnings: readonly ConfigIssue[] }
  | { readonly ok: false; readonly issues: readonly ConfigIssue[] };

export interface ParseOptions {
  /** For messages and, without any other name, for the job's name. Never opened. */
  readonly file: string;
  /** The job's name, over what the file says. */
  readonly name?: string;
  /** The engines' vLLM, over what the file says. A legal version. */
  readonly engineVersion?: string;
}

/**
 * A job's YAML text as a spec, or everything that is wrong with it, in the order of the file (errors and warnings).
 * Pure, never throws, and does a bounded amount of work whatever the text is.
 */
export function parseConfig(text: string, options: ParseOptions): ParsedConfig {
  const body = text.startsWith("\ufeff") ? text.slice(1) : text;
  const { root, findings } = readDocument(body);
  const inFile = toIssues(body, options.file);
  if (root === undefined) return { ok: false, issues: inFile(findings) };
  const { reading: inItself, problems } = checkShape(
    root,
    findings.map(({ path }) => path),
  );
  const reading = withVersion(inItself, options.engineVersion);
  const all = [...problems, ...nameProblems(options.name), ...checkRules(reading)];
  const issues = inFile([
    ...findings,
    ...all.map((one) => ({ ...one, offset: offsetOf(root, one.path, one.atKey === true) })),
  ]);
  const { file } = reading;
  if (file === undefined || issues.some(({ severity }) => severity === "error")) {
    return { ok: false, issues };
  }
  const name = options.name ?? file.name ?? nameFromFile(options.file);
  const spec = buildSpec(reading, file, name);
  const tooLarge = sizeProblem(spec);
  return tooLarge === undefined
    ? { ok: true, spec, warnings: issues }
    : { ok: false, issues: inFile([{ ...problem([], tooLarge), offset: 0 }]) };
}

/** `job.yaml:4:15 prefill.replicas: must be …` */
export function formatIssue({ file, line, col, path, message, severity }: ConfigIssue): string {
  const where = `${file}:${line}:${col}${path === "" ? "" : ` ${path}`}`;
  return `${where}: ${severity === "warning" ? "warning: " : ""}${message}`;
}

function withVersion(reading: Reading, version: string | undefined): Reading {
  if (version === undefined) return reading;
  const { draft, file } = reading;
  return {
    ...reading,
    draft: { ...draft, engine: { ...draft.engine, version } },
    ...(file ? { file: { ...file, engine: { ...file.engine, version } } } : {}),
  };
}

function nameProblems(name: string | undefined): readonly Problem[] {
  if (name === undefined || jobNamePattern.test(name)) return [];
  return [problem(["name"], `was given apart from the file, and must be ${legalName}.`)];
}

/** `My Job.v2.yaml` makes `my-job-v2`. */
function nameFromFile(file: string): string {
  const base = file.split(/[\\/]/).at(-1) ?? "";
  const legal = base
    .replace(/\.ya?ml$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 41)
    .replace(/^-/, "")
    .slice(0, 40)
    .replace(/-$/, "");
  return legal === "" ? "job" : legal;
}

/** Findings as issues: each once, in file order, no more than anyone reads. */
const toIssues =
  (text: string, file: string) =>
  (findings: readonly Finding[]): readonly ConfigIssue[] => {
    const lines = new LineCounter();
    lines.addNewLine(0);
    for (const { index } of text.matchAll(/\n/g)) lines.addNewLine(index + 1);
    const issues = findings
      .toSorted((a, b) => a.offset - b.offset)
      .map(({ offset, path, message, severity }) => ({
        file,
        ...lines.linePos(Math.min(offset, text.length)),
        path: pathText(path),
        message,
        severity,
      }));
    return capped(issues.filter(isFirst()));
  };

function isFirst(): (issue: ConfigIssue) => boolean {
  const seen = new Set<string>();
  return (issue) => {
    const key = formatIssue(issue);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  };
}

/** Errors are kept rather than warnings: a cut list must not look like a valid file. */
function capped(issues: readonly ConfigIssue[]): readonly ConfigIssue[] {
  if (issues.length <= issuesMax) return issues;
  const errors = issues.filter(({ severity }) => severity === "error");
  const shown = (errors.length > 0 ? errors : issues).slice(0, issuesMax);
  const last = shown.at(-1);
  if (last === undefined) return shown;
  return [
    ...shown,
    { ...last, path: "", message: "There are more problems than these: repair these first." },
  ];
}
