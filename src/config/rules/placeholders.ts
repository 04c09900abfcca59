import { roles } from "../../domain/role.ts";
import { issuesMax, portSpanMax } from "../limits.ts";
import { sections } from "../merge.ts";
import { didYouMean } from "../nearest.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import type { ConfigNode } from "../node.ts";
import { problem, problemAtKey } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

/** What engines' parameters, environment and files may hold; ports also with a name and a span. */
const engineNames = [
  "HOST",
  "PORT",
  "KV_IP",
  "NODE_NAME",
  "ROLE",
  "INDEX",
  "GENERATION",
  "WORK_DIR",
  "JOB",
  "KV_LAYOUT",
  "FILES",
  "PROXY_HOST",
  "PORTS",
] as const;

/** `{NAME}` or `{NAME:…}` in capitals, also with #: JSON and templates use braces too, but not like this. */
const pattern = /\{#?([A-Z][A-Z0-9_]*)(?::([^{}"'\s]*))?\}/g;
const portPart = /^([a-z][a-z0-9_-]*)(?::(\d+))?$/;

/** Every placeholder of an engine is one that will be filled. */
export function enginePlaceholdersAreKnown({ root }: Reading): readonly Problem[] {
  const places: readonly Path[] = [
    ["envs"],
    ...sections.flatMap((section) => [
      [section, "envs"],
      [section, "params"],
      [section, "files"],
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

/** A run of ports is found on a node by trying: hundreds of them would take most of what is free there. */
export function namedPortsAreFew({ root }: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const spans = new Map<string, number>();
    for (const place of [["envs"], ["general"], [role]])
      for (const { value } of textsBelow(root, place))
        for (const [, name = "", span] of value.matchAll(namedPort))
          spans.set(name, Math.max(spans.get(name) ?? 1, soundSpan(span)));
    const count = [...spans.values()].reduce((sum, span) => sum + span, 0);
    return count <= portSpanMax
      ? []
      : [
          problemAtKey(
            [role],
            `asks for ${count} named ports ({PORT:name:span}) for each replica, and ${portSpanMax} is the most: use fewer names or smaller spans.`,
          ),
        ];
  });
}

/** Too large a span is reported by itself. */
const soundSpan = (span: string | undefined): number =>
  Number(span ?? 1) > portSpanMax ? 1 : Number(span ?? 1);

const namedPort = /\{PORT:([a-z][a-z0-9_-]*)(?::(\d+))?\}/g;

function* textsBelow(root: ConfigNode, place: Path): Generator<{ readonly value: string }> {
  const node = nodeAt(root, place);
  if (node === undefined) return;
  for (const { value } of scalarsBelow(node, place)) if (typeof value === "string") yield { value };
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
  if (rest === undefined) {
    return name === "PORTS"
      ? `holds ${whole}, but it is a run of ports with a name: write {PORTS:name:span}.`
      : undefined;
  }
  if (name !== "PORT" && name !== "PORTS") {
    return `holds ${whole}, but only {PORT} and {PORTS} take a name: write {${name}}.`;
  }
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
