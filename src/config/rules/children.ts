import {
  childrenOf,
  configuredConnectors,
  extraOf,
  handOverBy,
  hasChildren,
  isConfig,
} from "../../domain/connectors/children.ts";
import type { ConfiguredConnector, HandedOver } from "../../domain/connectors/children.ts";
import type { Connector } from "../../domain/connectors/connector.ts";
import { roles } from "../../domain/role.ts";
import type { KvTransferConfig } from "../../domain/spec.ts";
import { readKv } from "../kv.ts";
import { problem } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import { declaredVersion, shapeProblems } from "../reading.ts";
import type { Reading } from "../reading.ts";
import { kvTransferConfig } from "../schema-kv.ts";

const example = "{kv_connector: NixlConnector, kv_role: kv_both}";

/** MultiConnector makes a KVTransferConfig of each child, which is then as strict as the outermost one. */
export function childrenAreConfigs(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (!isConfig(config)) return [];
    return configuredConnectors(config).flatMap((one) => shapesBelow(one, path));
  });
}

function shapesBelow(
  { config, path: within, known }: ConfiguredConnector,
  base: Path,
): readonly Problem[] {
  const found = childrenOf(config, known);
  if (found === undefined) return [];
  const path = [...base, ...within, ...found.path];
  if (found.children === undefined)
    return [problem(path, `is missing: give a list of connectors, such as [${example}].`)];
  if (!Array.isArray(found.children))
    return [problem(path, `must be a list of connectors, such as [${example}].`)];
  return found.children.flatMap((child: unknown, at) => {
    const place = [...path, String(at)];
    if (typeof child !== "object" || child === null || Array.isArray(child))
      return [problem(place, `is no connector: write a mapping, such as ${example}.`)];
    return shapeProblems(
      kvTransferConfig.safeParse(child, { reportInput: true }).error?.issues ?? [],
      place,
    );
  });
}

/** Which child hands KV over is a child's matter: what prefill's writes, no other connector of decode's reads. */
export function childrenMeetEachOther(reading: Reading): readonly Problem[] {
  const [theirs, ours] = roles.map((role) => readKv(reading, role).config);
  if (!isConfig(theirs) || !isConfig(ours) || !hasChildren(ours)) return [];
  // Roles of which one alone is a MultiConnector are told as such.
  if (theirs.kv_connector.toLowerCase() !== ours.kv_connector.toLowerCase()) return [];
  const version = declaredVersion(reading);
  const [prefill, decode] = [handOverBy(theirs, version), handOverBy(ours, version)];
  if (typeof prefill !== "object" || decode === "unknown" || prefill.by === decode?.by) return [];
  const { path } = readKv(reading, "decode");
  return [problem([...path, ...pathOf(ours)], unlike(prefill, decode))];
}

const unlike = (prefill: HandedOver, decode: HandedOver | undefined): string => {
  const has = decode ? `hands KV over by ${decode.by.name}` : "has no connector that takes KV over";
  return `${has}, but prefill hands it over by ${prefill.by.name}: both roles need the same connector for it.`;
};

const pathOf = (config: KvTransferConfig): Path =>
  configuredConnectors(config).flatMap(({ config: one, path, known }) => {
    const found = childrenOf(one, known);
    return found ? [[...path, ...found.path]] : [];
  })[0] ?? ["kv_connector"];

/** Two of a kind in one engine would be given the same ports, unless they were given ports of their own. */
export function childrenHavePortsOfTheirOwn(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (!isConfig(config)) return [];
    const all = configuredConnectors(config);
    return all.flatMap((one, at) => {
      const { known, path: within } = one;
      const first = all.slice(0, at).find((other) => other.known === known);
      if (!known || !first || !sharesPorts(known, one.config, first.config)) return [];
      const message = `is ${known.name} for the second time, and both would listen at the same ports of the engine: remove one of them.`;
      return [problem([...path, ...within, "kv_connector"], message)];
    });
  });
}

const sharesPorts = ({ needs }: Connector, ...of: readonly KvTransferConfig[]): boolean =>
  needs.some(
    ({ env, config, extra }) =>
      portKeys(env).length > 0 ||
      portKeys(config).some((key) => of.every((one) => !(key in one))) ||
      portKeys(extra).some((key) => of.every((one) => !(key in extraOf(one)))),
  );

const portKeys = (values: Readonly<Record<string, string>> = {}): readonly string[] =>
  Object.keys(values).filter((key) => /\{#?PORTS?:/.test(values[key] ?? ""));
