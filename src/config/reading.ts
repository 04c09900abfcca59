import type { z } from "zod";
import { parseVersion } from "../domain/connectors/version.ts";
import type { Version } from "../domain/connectors/version.ts";
import { unknownKey } from "./keys.ts";
import { plainValue } from "./node.ts";
import type { ConfigNode } from "./node.ts";
import { problem, problemAtKey } from "./problem.ts";
import type { Path, Problem } from "./problem.ts";
import { configFile } from "./schema.ts";
import type { ConfigFile } from "./schema.ts";

type Partially<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Partially<T[K]> }
    : T;

/**
 * A file as far as it is sound: whatever broke the schema is left out of `draft`, so that the rules that span keys can
 * judge the rest, and all problems are reported at once. `file` is there when nothing was left out.
 */
export interface Reading {
  readonly root: ConfigNode;
  readonly draft: Partially<ConfigFile>;
  readonly file?: ConfigFile;
  /** What stands at this path, or above it, is missing or wrong, and that was already reported. */
  readonly isBroken: (path: Path) => boolean;
}

/** The engines' vLLM as far as the user says which it is. */
export const declaredVersion = ({ draft }: Reading): Version | undefined =>
  draft.engine?.version === undefined ? undefined : parseVersion(draft.engine.version);

/** `faulty`: paths of which something is known to be wrong already; nothing more is said of them. */
export function checkShape(
  root: ConfigNode,
  faulty: readonly Path[],
): { readonly reading: Reading; readonly problems: readonly Problem[] } {
  const value = plainValue(root);
  const result = configFile.safeParse(value, { reportInput: true });
  if (result.success && faulty.length === 0) {
    const reading = { root, draft: result.data, file: result.data, isBroken: () => false };
    return { reading, problems: [] };
  }
  const texts = new Set(faulty.map((path) => path.join("\0")));
  const problems = shapeProblems(result.error?.issues ?? [], []).filter(
    ({ path }) => !texts.has(path.join("\0")),
  );
  const broken = [...problems.map(({ path }) => path), ...faulty].filter(
    ({ length }) => length > 0,
  );
  const draft = without(result.data ?? value, broken) as Partially<ConfigFile>;
  const isBroken = (path: Path): boolean =>
    broken.some((one) => one.every((key, at) => path[at] === key));
  return { reading: { root, draft, isBroken }, problems };
}

/** Problems from what zod found, one a place. `base` is where the checked value stands in the file. */
export function shapeProblems(issues: readonly z.core.$ZodIssue[], base: Path): readonly Problem[] {
  const found = new Map<string, Problem>();
  for (const issue of issues) {
    for (const one of problemsOf(issue, base)) {
      const key = one.path.join("\0");
      if (!found.has(key)) found.set(key, one);
    }
  }
  return [...found.values()];
}

function problemsOf(issue: z.core.$ZodIssue, base: Path): readonly Problem[] {
  const path = [...base, ...issue.path.map(String)];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => problemAtKey([...path, key], unknownKey([...path, key])));
  }
  if (issue.code === "invalid_key")
    return issue.issues.slice(0, 1).map(({ message }) => problemAtKey(path, message));
  // Of "JSON text or a mapping", a mapping is judged as one: its own faults say more than "neither".
  if (issue.code === "invalid_union" && isMapping(issue.input)) {
    const inside = issue.errors.find((branch) => !branch.every(isOtherKind));
    if (inside) return shapeProblems(inside, path);
  }
  return [problem(path, issue.message)];
}

const isOtherKind = ({ code, path }: z.core.$ZodIssue): boolean =>
  code === "invalid_type" && path.length === 0;

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value without what stands at these paths. */
function without(value: unknown, paths: readonly Path[]): unknown {
  if (paths.some(({ length }) => length === 0)) return undefined;
  if (paths.length === 0 || !isMapping(value)) return value;
  const below = new Map<string, Path[]>();
  for (const [first = "", ...rest] of paths) below.set(first, [...(below.get(first) ?? []), rest]);
  const kept = Object.entries(value).map(([key, child]) => {
    return [key, without(child, below.get(key) ?? [])] as const;
  });
  return Object.fromEntries(kept.filter(([, child]) => child !== undefined));
}
