import { isConfig } from "../../domain/connectors/children.ts";
import { versionProblems } from "../../domain/connectors/problems.ts";
import { newestKnown } from "../../domain/connectors/version.ts";
import { roles } from "../../domain/role.ts";
import { readKv } from "../kv.ts";
import type { Problem } from "../problem.ts";
import { declaredVersion } from "../reading.ts";
import type { Reading } from "../reading.ts";

/**
 * The engines of this version know the connector and its keys. Where no version is given it is asked for before anything
 * starts; until then what the newest does not have is only a warning.
 */
export function versionHasTheConnector(reading: Reading): readonly Problem[] {
  const version = declaredVersion(reading);
  return roles.flatMap((role) => {
    const { path, config } = readKv(reading, role);
    if (!isConfig(config)) return [];
    return versionProblems(config, version).map(({ path: within, message, severity }) => ({
      path: [...path, ...within],
      message:
        version === undefined && severity === "error"
          ? `${message} (vLLM ${newestKnown} is assumed here: give engine.version if it is another.)`
          : message,
      severity: version === undefined ? ("warning" as const) : severity,
    }));
  });
}
