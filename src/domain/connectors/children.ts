import type { KvTransferConfig, ParamValue } from "../spec.ts";
import type { Connector, HandOver } from "./connector.ts";
import { findConnector, handOverOf } from "./table.ts";
import type { Version } from "./version.ts";

/** One connector of a role's configuration: the configured one, or a child of MultiConnector. */
export interface ConfiguredConnector {
  readonly config: KvTransferConfig;
  /** Where it stands: `[]`, or the keys that lead to a child. */
  readonly path: readonly string[];
  /** Absent for one that is not vLLM's own: unknown, or loaded from a module of the user's. */
  readonly known?: Connector;
}

const multi = "MultiConnector";
const childrenPath = ["kv_connector_extra_config", "connectors"] as const;

/** The connector and, for MultiConnector, its children at any depth, each after its parent. */
export function configuredConnectors(
  config: KvTransferConfig,
  path: readonly string[] = [],
): readonly ConfiguredConnector[] {
  const known = knownConnector(config);
  const below = childListOf(config, known).flatMap((child, at) =>
    isConfig(child) ? configuredConnectors(child, [...path, ...childrenPath, String(at)]) : [],
  );
  return [{ config, path, ...(known ? { known } : {}) }, ...below];
}

/** The configuration with each of vLLM's own connectors edited, children of MultiConnector first. */
export function editConnectors(
  config: KvTransferConfig,
  edit: (config: KvTransferConfig, known: Connector, path: readonly string[]) => KvTransferConfig,
  path: readonly string[] = [],
): KvTransferConfig {
  const known = knownConnector(config);
  if (known === undefined) return config;
  const children = childListOf(config, known);
  if (children.length === 0) return edit(config, known, path);
  const connectors = children.map((child, at) =>
    isConfig(child) ? editConnectors(child, edit, [...path, ...childrenPath, String(at)]) : child,
  );
  const extra = { ...extraOf(config), connectors };
  return edit({ ...config, kv_connector_extra_config: extra }, known, path);
}

/** The connector by which a role's KV gets to the other role. */
export interface HandedOver {
  readonly kind: HandOver;
  readonly by: Connector;
  /** Where it stands, as in `ConfiguredConnector`. */
  readonly path: readonly string[];
}

/** Hand-overs from the one that asks most of a proxy to the one that asks least. */
const demanding: readonly HandOver[] = [
  "registering",
  "concurrent",
  "params",
  "notifying",
  "store",
];

/**
 * How a role's KV gets to the other role, and by which of its connectors: of several, the one that asks most of the
 * proxy, since the others only add a cache. `unknown` when a connector is not vLLM's own.
 */
export function handOverBy(
  config: KvTransferConfig,
  version: Version | undefined,
): HandedOver | "unknown" | undefined {
  const all = configuredConnectors(config);
  const able = all.flatMap(({ known, path }) => {
    const kind = known && handOverOf(known, version);
    return known && kind ? [{ kind, by: known, path }] : [];
  });
  for (const kind of demanding) {
    const found = able.find((one) => one.kind === kind);
    if (found) return found;
  }
  return all.some(({ known }) => known === undefined) ? "unknown" : undefined;
}

/** `kv_connector_extra_config`, empty when there is none. */
export function extraOf(config: KvTransferConfig): Readonly<Record<string, ParamValue>> {
  const extra = config["kv_connector_extra_config"];
  return isMapping(extra) ? extra : {};
}

const knownConnector = (config: KvTransferConfig): Connector | undefined =>
  config["kv_connector_module_path"] === undefined ? findConnector(config.kv_connector) : undefined;

/** What MultiConnector was given for its children, whatever that is, and where; undefined for every other connector. */
export const childrenOf = (
  config: KvTransferConfig,
  known: Connector | undefined,
): { readonly children: ParamValue | undefined; readonly path: readonly string[] } | undefined =>
  known?.name === multi
    ? { children: extraOf(config)["connectors"], path: childrenPath }
    : undefined;

/** Is each MultiConnector given a list of children? What is in it may be wrong still. */
export const hasChildren = (config: KvTransferConfig): boolean =>
  configuredConnectors(config).every(({ config: one, known }) => {
    const found = childrenOf(one, known);
    return found === undefined || (found.children !== undefined && isList(found.children));
  });

function childListOf(
  config: KvTransferConfig,
  known: Connector | undefined,
): readonly ParamValue[] {
  const children = childrenOf(config, known)?.children ?? [];
  return isList(children) ? children : [];
}

export const isConfig = (value: unknown): value is KvTransferConfig =>
  isMapping(value) && typeof value["kv_connector"] === "string";

const isList = (value: unknown): value is readonly ParamValue[] => Array.isArray(value);

const isMapping = (value: unknown): value is Readonly<Record<string, ParamValue>> =>
  typeof value === "object" && value !== null && !isList(value);
