import type { Path } from "./problem.ts";

/** What a scalar can be once it is read. */
export type ScalarValue = string | number | boolean | null;

/** One value of the file, aliases and merge keys resolved, with where it stands. Offsets count characters from 0. */
export interface ConfigNode {
  readonly start: number;
  /** Where its key stands; absent for the root and for items of a list. */
  readonly keyStart?: number;
  readonly content:
    | { readonly kind: "scalar"; readonly value: ScalarValue; readonly plainText?: string }
    | { readonly kind: "mapping" | "list"; readonly children: ReadonlyMap<string, ConfigNode> };
}

/** The value as plain JSON. */
export function plainValue({ content }: ConfigNode): unknown {
  if (content.kind === "scalar") return content.value;
  const entries = [...content.children].map(([key, child]) => [key, plainValue(child)] as const);
  return content.kind === "list" ? entries.map(([, value]) => value) : Object.fromEntries(entries);
}

/** The node at a path, or undefined. */
export function nodeAt(root: ConfigNode, path: Path): ConfigNode | undefined {
  let node: ConfigNode | undefined = root;
  for (const key of path) node = node && childrenOf(node).get(key);
  return node;
}

/**
 * Where a problem at `path` is to be shown. A path that leads nowhere (a missing key) is shown at the key of the
 * innermost mapping that exists; one that leads into a scalar (JSON in a string) at that scalar.
 */
export function offsetOf(root: ConfigNode, path: Path, atKey: boolean): number {
  let node = root;
  for (const key of path) {
    const child = childrenOf(node).get(key);
    if (child === undefined) {
      return node.content.kind === "scalar" ? node.start : (node.keyStart ?? node.start);
    }
    node = child;
  }
  return atKey ? (node.keyStart ?? node.start) : node.start;
}

/** Every scalar below a node, in file order, with its path. */
export function* scalarsBelow(
  node: ConfigNode,
  path: Path,
): Generator<{ readonly path: Path; readonly value: ScalarValue; readonly plainText?: string }> {
  if (node.content.kind === "scalar") yield { path, ...node.content };
  for (const [key, child] of childrenOf(node)) yield* scalarsBelow(child, [...path, key]);
}

const noChildren: ReadonlyMap<string, ConfigNode> = new Map();

const childrenOf = ({ content }: ConfigNode): ReadonlyMap<string, ConfigNode> =>
  content.kind === "scalar" ? noChildren : content.children;
