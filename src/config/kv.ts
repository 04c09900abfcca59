import { editConnectors, isConfig } from "../domain/connectors/children.ts";
import { spelledConnector } from "../domain/connectors/table.ts";
import { isDeeperThan } from "../domain/given.ts";
import type { Role } from "../domain/role.ts";
import type { KvTransferConfig } from "../domain/spec.ts";
import { depthMax } from "./limits.ts";
import { paramPath } from "./merge.ts";
import { nodeAt, plainValue } from "./node.ts";
import { problem } from "./problem.ts";
import type { Path, Problem } from "./problem.ts";
import { shapeProblems } from "./reading.ts";
import type { Reading } from "./reading.ts";
import { kvTransferConfig } from "./schema-kv.ts";

/** One role's `kv_transfer_config`, from JSON text or a mapping, as far as it could be read. */
export interface ReadKv {
  readonly path: Path;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly problems: readonly Problem[];
}

const example = {
  prefill: '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}',
  decode: '{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}',
} as const satisfies Readonly<Record<Role, string>>;

export function readKv(reading: Reading, role: Role): ReadKv {
  const path = paramPath(reading, role, "kv_transfer_config");
  const node = path && nodeAt(reading.root, path);
  if (path === undefined || node === undefined) {
    const missing = [role, "params", "kv_transfer_config"];
    const isReported = reading.isBroken(missing) || reading.isBroken(["general", "params"]);
    const message = `is missing: give the KV connector, such as '${example[role]}'.`;
    return { path: missing, problems: isReported ? [] : [problem(missing, message)] };
  }
  const value = plainValue(node);
  if (isMapping(value)) return { path, config: value, problems: [] };
  // Anything but a mapping and a text, and an empty text, was found by the schema.
  if (typeof value !== "string" || value === "") return { path, problems: [] };
  return fromText(path, value, role);
}

/** The config of a file without problems, connectors in vLLM's spelling. */
export function kvTransferOf(reading: Reading, role: Role): KvTransferConfig {
  const config = readKv(reading, role).config;
  if (!isConfig(config)) throw new Error(`the kv_transfer_config of ${role} was not checked`);
  return editConnectors(config, (one) => ({
    ...one,
    kv_connector: spelledConnector(one.kv_connector) ?? one.kv_connector,
  }));
}

function fromText(path: Path, text: string, role: Role): ReadKv {
  const value = parseJson(text);
  if (value === undefined) return { path, problems: [problem(path, notJson(text, role))] };
  if (!isMapping(value)) {
    return { path, problems: [problem(path, `is JSON, but no object: write '${example[role]}'.`)] };
  }
  if (isDeeperThan(value, depthMax)) {
    return { path, problems: [problem(path, `nests more than ${depthMax} deep: flatten it.`)] };
  }
  const result = kvTransferConfig.safeParse(value, { reportInput: true });
  return { path, config: value, problems: shapeProblems(result.error?.issues ?? [], path) };
}

/** Undefined when the text is no JSON: JSON itself has no undefined. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The two mistakes that are made most get their own advice. What JavaScript says differs by version and quotes the text. */
function notJson(text: string, role: Role): string {
  if (text.includes("...")) {
    return "is not JSON: replace the ... by real keys, or remove it with the comma before it.";
  }
  if (/[:[,]\s*\{[A-Z][A-Z_]*[:}]/.test(text)) {
    return 'is not JSON: put placeholders in quotes, such as "{PORT:kv}".';
  }
  return `is not JSON: check its quotes, commas and braces, or write a YAML mapping. An example: '${example[role]}'.`;
}

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
