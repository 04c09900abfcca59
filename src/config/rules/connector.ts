import { configuredConnectors, isConfig } from "../../domain/connectors/children.ts";
import type { ConfiguredConnector } from "../../domain/connectors/children.ts";
import { connectorNames, findConnector } from "../../domain/connectors/table.ts";
import { roles } from "../../domain/role.ts";
import type { Role } from "../../domain/role.ts";
import { readKv } from "../kv.ts";
import type { ReadKv } from "../kv.ts";
import { paramPath } from "../merge.ts";
import { didYouMean } from "../nearest.ts";
import { problem, quoted, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { defaultEngineCommand } from "../schema.ts";

export function kvConfigsAreReadable(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => readKv(reading, role).problems);
}

export function connectorsAreKnown(reading: Reading): readonly Problem[] {
  return connectorsOf(reading).flatMap(({ path, config }) => {
    const name = connectorOf(config);
    const isOwnModule = config["kv_connector_module_path"] !== undefined;
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
  return connectorsOf(reading).flatMap(({ role, path, config, known }) => {
    const { is, because } = wrongRole[role];
    // A cache beside what hands KV over may be read alone, or written alone, in either role.
    const isCache = known?.handOver === undefined && known?.name !== "MultiConnector" && known;
    return config["kv_role"] === is && !isCache
      ? [problem([...path, "kv_role"], `is ${is}, ${because}`)]
      : [];
  });
}

/** The connectors of both roles, children of MultiConnector among them; `path` leads to each in the file. */
function connectorsOf(
  reading: Reading,
): readonly (ConfiguredConnector & { readonly role: Role })[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    const all = isConfig(config) ? configuredConnectors(config) : [];
    return all.map((one) => ({ ...one, role, path: [...path, ...one.path] }));
  });
}

/** Where peers remember an engine by its id, a second one under it, or the same one restarted, is taken for the first. */
export function engineIdsAreFresh(reading: Reading): readonly Problem[] {
  const [first, second] = roles.map((role) => readKv(reading, role).config?.["engine_id"]);
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (!isConfig(config)) return [];
    const all = configuredConnectors(config);
    const children = all.filter(({ path: within }) => within.length > 0);
    return [
      ...children
        .filter(({ config: child }) => child["engine_id"] !== undefined)
        .map(({ path: within }) =>
          problem(
            [...path, ...within, "engine_id"],
            "is that of a child, which MultiConnector gives its own: remove it, or write it beside MultiConnector.",
          ),
        ),
      ...(config["engine_id"] === undefined || isFresh(config["engine_id"], first === second)
        ? []
        : [pinned([...path, "engine_id"], all)]),
    ];
  });
}

function pinned(path: Path, connectors: readonly ConfiguredConnector[]): Problem {
  const remembering = connectors.find(({ known }) => known?.remembersEngines);
  const who = remembering?.config.kv_connector ?? "a connector that remembers engines";
  const message = `is the same for every replica and after every restart, so ${who} takes a new engine for an earlier one: leave it out, or write {NODE_NAME}, or something like {ROLE}-{INDEX}-{GENERATION}.`;
  return remembering ? problem(path, message) : warning(path, message);
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

/** No two replicas have it, and no replica twice. */
const isFresh = (id: unknown, isInBothRoles: boolean): boolean =>
  typeof id === "string" &&
  (id.includes("{NODE_NAME}") ||
    ["{INDEX}", "{GENERATION}", ...(isInBothRoles ? ["{ROLE}"] : [])].every((one) =>
      id.includes(one),
    ));

const connectorOf = (config: ReadKv["config"]): string | undefined => {
  const name = config?.["kv_connector"];
  return typeof name === "string" && name !== "" ? name : undefined;
};
