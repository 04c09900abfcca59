import { connectorNames, findConnector } from "../../domain/connectors/table.ts";
import { roles } from "../../domain/role.ts";
import type { Role } from "../../domain/role.ts";
import { readKv } from "../kv.ts";
import type { ReadKv } from "../kv.ts";
import { mergedParams, paramPath } from "../merge.ts";
import { didYouMean } from "../nearest.ts";
import { problem, quoted, warning } from "../problem.ts";
import type { Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { defaultEngineCommand } from "../schema.ts";

export function kvConfigsAreReadable(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => readKv(reading, role).problems);
}

export function connectorsAreKnown(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    const name = connectorOf(config);
    const isOwnModule = config?.["kv_connector_module_path"] !== undefined;
    if (name === undefined || isOwnModule || findConnector(name) !== undefined) return [];
    const meant = didYouMean(name, connectorNames);
    const advice = meant === "" ? ` Known: ${connectorNames.join(", ")}.` : meant;
    return [
      problem(
        [...path, "kv_connector"],
        `is ${quoted(name)}, which vLLM does not have.${advice} For a connector of your own, give kv_connector_module_path as well.`,
      ),
    ];
  });
}

/** KV that one connector writes, no other connector reads. */
export function rolesShareTheConnector(reading: Reading): readonly Problem[] {
  const prefill = connectorOf(readKv(reading, "prefill").config);
  const { path, config } = readKv(reading, "decode");
  const decode = connectorOf(config);
  if (prefill === undefined || decode === undefined) return [];
  if (prefill.toLowerCase() === decode.toLowerCase()) return [];
  return [
    problem(
      [...path, "kv_connector"],
      `is ${quoted(decode)}, but prefill has ${quoted(prefill)}: both roles need the same connector.`,
    ),
  ];
}

const wrongRole: Readonly<Record<Role, { readonly is: string; readonly because: string }>> = {
  prefill: {
    is: "kv_consumer",
    because: "but prefill is the side that sends KV: write kv_producer, or kv_both.",
  },
  decode: {
    is: "kv_producer",
    because: "but decode is the side that receives KV: write kv_consumer, or kv_both.",
  },
};

export function kvRolesFit(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    const { is, because } = wrongRole[role];
    return config?.["kv_role"] === is
      ? [problem([...path, "kv_role"], `is ${is}, ${because}`)]
      : [];
  });
}

/** Peers remember an engine by its id: a second engine under it, or the same one restarted, is taken for the first. */
export function engineIdsAreFresh(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (config?.["engine_id"] === undefined || isFresh(config)) return [];
    return [
      warning(
        [...path, "engine_id"],
        "is the same for every replica and after every restart, which confuses the engines that remember it: leave it out, or write something like {ROLE}-{INDEX}-{GENERATION}.",
      ),
    ];
  });
}

/** Without a model there is nothing to serve; only a command of the user's own may know better. */
export function modelsAreGiven(reading: Reading): readonly Problem[] {
  const command = reading.draft.engine?.command ?? defaultEngineCommand;
  if (command !== defaultEngineCommand || reading.isBroken(["engine", "command"])) return [];
  return roles.flatMap((role) => {
    const path = [role, "params", "model"];
    const isReported = reading.isBroken(path) || reading.isBroken(["general", "params"]);
    if (isReported || paramPath(reading, role, "model") !== undefined) return [];
    return [
      problem(path, "is missing: give the name or path of a model here or in general.params."),
    ];
  });
}

/** Even two paths to the same files: engines compare what was written before they exchange KV. */
export function rolesShareTheModel(reading: Reading): readonly Problem[] {
  const [prefill, decode] = roles.map((role) => mergedParams(reading, role)["model"]);
  const path = paramPath(reading, "decode", "model");
  if (path === undefined || typeof prefill !== "string" || typeof decode !== "string") return [];
  return prefill === decode
    ? []
    : [
        warning(
          path,
          "is not the model of prefill, so the KV of one is of no use to the other: write the same in both, best in general.params.",
        ),
      ];
}

const isFresh = ({ engine_id: id }: Readonly<Record<string, unknown>>): boolean =>
  typeof id === "string" && id.includes("{INDEX}") && id.includes("{GENERATION}");

const connectorOf = (config: ReadKv["config"]): string | undefined => {
  const name = config?.["kv_connector"];
  return typeof name === "string" && name !== "" ? name : undefined;
};
