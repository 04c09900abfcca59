import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Node, Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { depthMax, textMax, valuesMax } from "./limits.ts";
import type { ConfigNode, ScalarValue } from "./node.ts";
import type { Finding, Path } from "./problem.ts";

export interface ResolvedTree {
  readonly root?: ConfigNode;
  readonly findings: readonly Finding[];
}

/** The merge key of YAML 1.1, which many files use: `<<: *defaults`. */
const mergeKey = "<<";

/** Parser nodes as our own: aliases and merge keys resolved, keys as text, every fault with its place. */
export function resolveTree(contents: unknown): ResolvedTree {
  const walk: Walk = { anchors: new Map(), findings: [], visited: 0, stopped: false };
  const root = resolve(walk, (contents ?? undefined) as Node | undefined, { path: [], offset: 0 });
  return walk.stopped ? { findings: walk.findings } : { root, findings: walk.findings };
}

interface Walk {
  readonly anchors: Map<string, Node>;
  readonly findings: Finding[];
  visited: number;
  /** A limit was passed: nothing more is looked at, so that a bomb costs no more than the limit. */
  stopped: boolean;
}

interface Place {
  readonly path: Path;
  /** Where to point when the value itself has no text of its own. */
  readonly offset: number;
  readonly keyStart?: number;
  readonly inAlias?: boolean;
}

function resolve(walk: Walk, node: Node | undefined, place: Place): ConfigNode {
  const start = node?.range?.[0] ?? place.offset;
  walk.visited += 1;
  if (walk.visited > valuesMax) {
    stop(
      walk,
      start,
      `The file has more than ${valuesMax} values once its aliases are expanded: write fewer aliases (*name) of large blocks.`,
    );
  }
  if (place.path.length > depthMax) {
    stop(
      walk,
      start,
      `The file nests lists or mappings more than ${depthMax} deep, or an alias contains itself: flatten it.`,
    );
  }
  const at = { start, ...(place.keyStart === undefined ? {} : { keyStart: place.keyStart }) };
  if (node === undefined || walk.stopped)
    return { ...at, content: { kind: "scalar", value: null } };
  if (isAlias(node))
    return { ...at, content: resolveAlias(walk, node.source, { ...place, offset: start }) };
  if (node.anchor !== undefined && place.inAlias !== true) walk.anchors.set(node.anchor, node);
  if (isMap(node))
    return { ...at, content: { kind: "mapping", children: resolveMap(walk, node, place) } };
  if (isSeq(node))
    return { ...at, content: { kind: "list", children: resolveList(walk, node, place) } };
  return { ...at, content: scalar(walk, node as Scalar, { ...place, offset: start }) };
}

function resolveAlias(walk: Walk, name: string, place: Place): ConfigNode["content"] {
  const target = walk.anchors.get(name);
  if (target !== undefined) return resolve(walk, target, { ...place, inAlias: true }).content;
  find(
    walk,
    place,
    `refers to *${name}, but no &${name} stands before it: define it first, or write the value here.`,
  );
  return { kind: "scalar", value: null };
}

function resolveList(walk: Walk, node: YAMLSeq, place: Place): Map<string, ConfigNode> {
  const children = new Map<string, ConfigNode>();
  for (const [at, item] of node.items.entries()) {
    if (walk.stopped) break;
    const path = [...place.path, String(at)];
    children.set(
      String(at),
      resolve(walk, nodeOf(item), { path, offset: startOf(node, place), inAlias: place.inAlias }),
    );
  }
  return children;
}

function resolveMap(walk: Walk, node: YAMLMap, place: Place): Map<string, ConfigNode> {
  const own = new Map<string, ConfigNode>();
  const merged: ConfigNode[] = [];
  for (const pair of node.items) {
    if (walk.stopped) break;
    const keyStart = nodeOf(pair.key)?.range?.[0] ?? startOf(node, place);
    const key = keyOf(walk, pair, { path: place.path, offset: keyStart });
    if (key === undefined) continue;
    const path = [...place.path, key];
    if (own.has(key)) {
      find(walk, { path, offset: keyStart }, `is given twice: remove one of them.`);
      continue;
    }
    const child = resolve(walk, nodeOf(pair.value), {
      path: key === mergeKey ? place.path : path,
      offset: keyStart,
      keyStart,
      inAlias: place.inAlias,
    });
    if (key === mergeKey) merged.push(...mergeSources(walk, child, path));
    else own.set(key, child);
  }
  return withMerged(own, merged);
}

/** As YAML 1.1 has it: what the mapping says itself wins, then the first merged mapping, and so on. */
function withMerged(
  own: Map<string, ConfigNode>,
  merged: readonly ConfigNode[],
): Map<string, ConfigNode> {
  for (const { content } of merged) {
    if (content.kind !== "mapping") continue;
    for (const [key, child] of content.children) if (!own.has(key)) own.set(key, child);
  }
  return own;
}

function mergeSources(walk: Walk, node: ConfigNode, path: Path): readonly ConfigNode[] {
  const sources = node.content.kind === "list" ? [...node.content.children.values()] : [node];
  const odd = sources.find(({ content }) => content.kind !== "mapping");
  if (odd === undefined) return sources;
  find(
    walk,
    { path, offset: odd.start },
    "merges something that is not a mapping: use an alias of a mapping, such as <<: *defaults.",
  );
  return [];
}

/** A key as text, or undefined when it cannot be one. */
function keyOf(walk: Walk, { key }: Pair, place: Place): string | undefined {
  const node = nodeOf(key);
  if (!isScalar(node) || node.value === null) {
    find(walk, place, "has a key that is not text: write a name before the colon.");
    return undefined;
  }
  const text = typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
  // The only name that a plain object cannot hold as an ordinary key.
  if (text === "__proto__") {
    find(walk, { ...place, path: [...place.path, text] }, "cannot be used as a key: remove it.");
    return undefined;
  }
  refuseNoText(walk, text, place);
  return isParams(place.path) ? text.replaceAll("-", "_") : text;
}

/** vLLM takes `max-model-len` and `max_model_len` for the same flag: so do we, and name it in one way from here on. */
const isParams = (path: Path): boolean => path.length === 2 && path[1] === "params";

function scalar(walk: Walk, node: Scalar, place: Place): ConfigNode["content"] {
  const plainText = node.type === "PLAIN" ? { plainText: node.source ?? "" } : {};
  const { value } = node;
  if (typeof value === "number" && !Number.isFinite(value)) {
    find(
      walk,
      place,
      "is not a number that can be passed on: write a finite one, or put it in quotes.",
    );
    return { kind: "scalar", value: 0, ...plainText };
  }
  if (typeof value === "string" && value.length > textMax) {
    stop(
      walk,
      place.offset,
      `The file holds a text of ${value.length} characters, and no program can be handed more than ${textMax}: shorten it.`,
    );
  }
  if (typeof value === "string") refuseNoText(walk, value, place);
  return { kind: "scalar", value: value as ScalarValue, ...plainText };
}

/** What an escape in quotes can write and no program can be handed. */
function refuseNoText(walk: Walk, value: string, place: Place): void {
  const strange = /\0|\p{Surrogate}/u.exec(value);
  if (!strange) return;
  const code = (strange[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  find(
    walk,
    place,
    `holds the character U+${code}, which no argument, variable or path can hold: remove the escape that writes it.`,
  );
}

function find(walk: Walk, { path, offset }: Place, message: string): void {
  // Past a limit the rest is unknown, and nothing can be said of it.
  if (!walk.stopped) walk.findings.push({ path, offset, message, severity: "error" });
}

function stop(walk: Walk, offset: number, message: string): void {
  find(walk, { path: [], offset }, message);
  walk.stopped = true;
}

const nodeOf = (value: unknown): Node | undefined => (value ?? undefined) as Node | undefined;

const startOf = (node: Node, place: Place): number => node.range?.[0] ?? place.offset;
