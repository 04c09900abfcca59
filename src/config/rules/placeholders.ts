import { issuesMax, portSpanMax } from "../limits.ts";
import { sections } from "../merge.ts";
import { didYouMean } from "../nearest.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import { problem } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

/** What engines' parameters and environment may hold; `{PORT}` also with a name and a span. */
const engineNames = [
  "HOST",
  "PORT",
  "KV_IP",
  "NODE_NAME",
  "ROLE",
  "INDEX",
  "GENERATION",
  "WORK_DIR",
] as const;

/** `{NAME}` or `{NAME:…}` in capitals: JSON and templates use braces too, but not like this. */
const pattern = /\{([A-Z][A-Z0-9_]*)(?::([^{}"'\s]*))?\}/g;
const portPart = /^([a-z][a-z0-9_-]*)(?::(\d+))?$/;

/** Every placeholder of an engine is one that will be filled. */
export function enginePlaceholdersAreKnown({ root }: Reading): readonly Problem[] {
  const places: readonly Path[] = [
    ["envs"],
    ...sections.flatMap((section) => [
      [section, "envs"],
      [section, "params"],
    ]),
  ];
  const problems: Problem[] = [];
  for (const place of places) {
    const node = nodeAt(root, place);
    if (node === undefined) continue;
    for (const { path, value } of scalarsBelow(node, place)) {
      if (typeof value !== "string") continue;
      problems.push(...strangePlaceholders(path, value, engineNames));
      if (problems.length > issuesMax) return problems;
    }
  }
  return problems;
}

/** Problems of the `{…}` placeholders in one text: each once, and no more than are reported. */
export function strangePlaceholders(
  path: Path,
  text: string,
  known: readonly string[],
): readonly Problem[] {
  const problems = new Map<string, Problem>();
  for (const { 0: whole, 1: name = "", 2: rest, index } of text.matchAll(pattern)) {
    const isTemplate = text[index - 1] === "{" && text[index + whole.length] === "}";
    if (isTemplate || problems.has(whole)) continue;
    const message = known.includes(name) ? faultyRest(whole, name, rest) : unknown(name, known);
    if (message !== undefined) problems.set(whole, problem(path, message));
    if (problems.size > issuesMax) break;
  }
  return [...problems.values()];
}

const unknown = (name: string, known: readonly string[]): string => {
  const meant = didYouMean(name, known).replace(/([A-Z_]+)\?$/, "{$1}?");
  const list = known.map((one) => `{${one}}`).join(", ");
  return `holds {${name}}, which is no placeholder.${meant === "" ? ` Known here: ${list}.` : meant}`;
};

function faultyRest(whole: string, name: string, rest: string | undefined): string | undefined {
  if (rest === undefined) return undefined;
  if (name !== "PORT") return `holds ${whole}, but only {PORT} takes a name: write {${name}}.`;
  const [, port, span] = portPart.exec(rest) ?? [];
  if (port === undefined) {
    return `holds ${whole}, which is no port: write {PORT:name} or {PORT:name:span}, with a name in lower-case letters.`;
  }
  if (port === "http") return `holds ${whole}, but http is the engine's own port: write {PORT}.`;
  if (span !== undefined && (Number(span) < 1 || Number(span) > portSpanMax)) {
    return `holds ${whole}, but a span is 1 to ${portSpanMax} ports.`;
  }
  return undefined;
}
