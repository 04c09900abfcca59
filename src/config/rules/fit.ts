import { configuredConnectors, extraOf, isConfig } from "../../domain/connectors/children.ts";
import { misfits } from "../../domain/connectors/fit.ts";
import type { Side } from "../../domain/connectors/fit.ts";
import { isIn } from "../../domain/connectors/version.ts";
import { roles } from "../../domain/role.ts";
import type { Role } from "../../domain/role.ts";
import { readKv } from "../kv.ts";
import { extraArgsOf, extraFlag, mergedParams, paramPath } from "../merge.ts";
import { problem } from "../problem.ts";
import type { Problem } from "../problem.ts";
import { declaredVersion } from "../reading.ts";
import type { Reading } from "../reading.ts";

/** Engines that differ in what their connector compares refuse each other's KV, once requests come. */
export function rolesFitEachOther(reading: Reading): readonly Problem[] {
  const [prefill, decode] = roles.map((role) => sideOf(reading, role));
  if (!prefill || !decode) return [];
  return misfits({ prefill, decode }, declaredVersion(reading)).map(
    ({ role, param, message, severity }) => ({
      ...placeOf(reading, role, param, message),
      severity,
    }),
  );
}

/** Extra arguments have the last word, so that is where it has to be changed. */
function placeOf(
  reading: Reading,
  role: Role,
  param: string,
  message: string,
): Pick<Problem, "path" | "message"> {
  const extra = extraFlag(reading, role, param);
  if (extra) return { path: extra.path, message: `holds ${extra.flag}, which ${message}` };
  const path = paramPath(reading, role, param);
  return path ? { path, message } : { path: [role, "params"], message: `${param} ${message}` };
}

function sideOf(reading: Reading, role: Role): Side | undefined {
  const { config } = readKv(reading, role);
  if (!isConfig(config)) return undefined;
  const extraArgs = extraArgsOf(reading, role);
  return { config, params: mergedParams(reading, role), extraArgs };
}

/** What only the user knows, and the connector does not start without. */
export function connectorsHaveTheirSettings(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (!isConfig(config)) return [];
    const version = declaredVersion(reading);
    return configuredConnectors(config).flatMap(({ known, config: one, path: within }) =>
      // What is not there at all is told as such.
      Object.entries(known && isIn(known, version) ? known.asks : {}).flatMap(([key, what]) =>
        extraOf(one)[key] === undefined
          ? [
              problem(
                [...path, ...within, "kv_connector_extra_config"],
                `has no ${key}, which ${one.kv_connector} needs: give ${what}.`,
              ),
            ]
          : [],
      ),
    );
  });
}

/** What a rendered file cannot do without. */
export function connectorsHaveTheirVariables(reading: Reading): readonly Problem[] {
  const { draft } = reading;
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (!isConfig(config)) return [];
    const set = { ...draft.envs, ...draft.general?.envs, ...draft[role]?.envs };
    const files = { ...draft.general?.files, ...draft[role]?.files };
    return configuredConnectors(config).flatMap(({ known, path: within }) =>
      (known?.needs ?? []).flatMap(({ file }) => {
        if (file === undefined || file.variable in set || file.name in files) return [];
        return Object.entries(file.settings)
          .filter(([name, value]) => value === undefined && !(name in set))
          .map(([name]) =>
            problem(
              [...path, ...within, "kv_connector"],
              `needs the variable ${name}: set it in envs, or ${file.variable} to a file of your own.`,
            ),
          );
      }),
    );
  });
}
