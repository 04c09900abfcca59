import {
  configuredConnectors,
  editConnectors,
  extraOf,
  handOverBy,
} from "../domain/connectors/children.ts";
import type { Connector, Need, NeededFile } from "../domain/connectors/connector.ts";
import { changedKeys, nameIn } from "../domain/connectors/table.ts";
import { isIn } from "../domain/connectors/version.ts";
import type { Version } from "../domain/connectors/version.ts";
import { parallelSize } from "../domain/parallelism.ts";
import type { ParallelParam } from "../domain/parallelism.ts";
import type { Role } from "../domain/role.ts";
import type { KvTransferConfig, ParamValue, RoleSpec } from "../domain/spec.ts";

/** A role's configuration with what its connectors need put in. Placeholders are not filled yet. */
export interface ConnectorSetup {
  readonly kvTransfer: KvTransferConfig;
  readonly env: Readonly<Record<string, string>>;
  /** Texts by name, the user's own among them: one of the same name takes the place of ours. */
  readonly files: Readonly<Record<string, string>>;
  /** Folders below the working directory that a job's first engine is to find empty. */
  readonly fresh: readonly string[];
}

/** What the table says a replica of this role is given. What the user has set stays as it is. */
export function setUpConnectors(
  role: Role,
  spec: RoleSpec,
  version: Version | undefined,
): ConnectorSetup {
  const asked = (known: Connector) => needsOf(known, role, spec, version);
  const edited = editConnectors(spec.kvTransfer, (config, known) =>
    withNeeds(config, nameIn(known, version), asked(known), spec, version),
  );
  const needed = configuredConnectors(spec.kvTransfer).flatMap(({ known, config }) =>
    known ? asked(known).map((need) => ({ need, config })) : [],
  );
  const engineId = needed.find(({ need }) => need.engineId !== undefined)?.need.engineId;
  const files = needed.flatMap(({ need: { file } }) =>
    file && !(file.variable in spec.envs) ? [file] : [],
  );
  const env = Object.assign({}, ...needed.map(({ need }) => sizedValues(need.env, spec)));
  const folders = needed.flatMap(({ need: { fresh }, config }) =>
    fresh && !(fresh.unless in extraOf(config)) ? [fresh.folder] : [],
  );
  return {
    kvTransfer: engineId === undefined ? edited : { engine_id: engineId, ...edited },
    env: {
      ...(env as Record<string, string>),
      ...Object.fromEntries(files.map(({ variable, name }) => [variable, `{FILES}/${name}`])),
      ...spec.envs,
    },
    files: {
      ...Object.fromEntries(files.map((file) => [file.name, textOf(file, spec)])),
      ...spec.files,
    },
    fresh: [...new Set(folders)],
  };
}

const needsOf = (
  known: Connector,
  role: Role,
  spec: RoleSpec,
  version: Version | undefined,
): readonly Need[] => {
  const found = handOverBy(spec.kvTransfer, version);
  const handsOver = typeof found === "object" && found.by === known;
  return known.needs.filter(
    (need) =>
      isIn(need, version) &&
      (need.role === undefined || need.role === role) &&
      (need.handsOver === undefined || handsOver),
  );
};

function withNeeds(
  config: KvTransferConfig,
  name: string,
  needs: readonly Need[],
  spec: RoleSpec,
  version: Version | undefined,
): KvTransferConfig {
  const given = (values: readonly Need["extra"][]): Readonly<Record<string, ParamValue>> =>
    Object.assign({}, ...values.map((one) => sizedValues(one, spec))) as Record<string, ParamValue>;
  const extra = given(needs.map((need) => need.extra));
  return {
    ...given(needs.map((need) => need.config)),
    ...withoutGone(config, version),
    kv_connector: name,
    ...(Object.keys(extra).length > 0
      ? { kv_connector_extra_config: { ...extra, ...extraOf(config) } }
      : {}),
  };
}

/** Keys that nothing reads any more, and that a version refuses. */
const withoutGone = (config: KvTransferConfig, version: Version | undefined): KvTransferConfig => ({
  kv_connector: config.kv_connector,
  ...Object.fromEntries(
    Object.entries(config).filter(([key]) => {
      const { until } = changedKeys[key] ?? {};
      return until === undefined || isIn({ until }, version);
    }),
  ),
});

/** The file's text with the user's settings, each fit to stand in quotes of JSON and YAML. */
function textOf({ text, settings }: NeededFile, spec: RoleSpec): string {
  let filled = sized(text, spec);
  for (const [name, value] of Object.entries(settings))
    // By a function: in a text, `$&` and its like would be filled in.
    filled = filled.replaceAll(`{${name}}`, () =>
      JSON.stringify(spec.envs[name] ?? value ?? "").slice(1, -1),
    );
  return filled;
}

const sizedValues = (
  values: Readonly<Record<string, string>> | undefined,
  spec: RoleSpec,
): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [key, sized(value, spec)]));

const sizes: Readonly<Record<string, ParallelParam>> = {
  DP: "data_parallel_size",
  TP: "tensor_parallel_size",
  PP: "pipeline_parallel_size",
};

/** `{PORT:name:DP*TP}` with the replica's own sizes: `{PORT:name:8}`. */
const sized = (text: string, role: RoleSpec): string =>
  text.replaceAll(/:([DTP]P(?:\*[DTP]P)*)\}/g, (_, product: string) => {
    const factors = product.split("*").map((size) => {
      const param = sizes[size];
      return param ? parallelSize(role, param) : 1;
    });
    return `:${factors.reduce((all, one) => all * one, 1)}}`;
  });
