import { handOverBy, hasChildren, isConfig } from "../../domain/connectors/children.ts";
import { builtinProxyProblem, decodeLocalProblem } from "../../domain/connectors/problems.ts";
import { readKv } from "../kv.ts";
import { problem, quoted } from "../problem.ts";
import type { Problem } from "../problem.ts";
import { declaredVersion } from "../reading.ts";
import type { Reading } from "../reading.ts";

/** A cache or a benchmark starts and serves, and every prompt is computed twice. */
export function kvIsHandedOver(reading: Reading): readonly Problem[] {
  const { path, config } = readKv(reading, "prefill");
  if (!isConfig(config) || config.kv_connector === "" || !hasChildren(config)) return [];
  if (handOverBy(config, declaredVersion(reading)) !== undefined) return [];
  const name = config.kv_connector;
  const message =
    name.toLowerCase() === "multiconnector"
      ? "is MultiConnector without a connector that moves KV from prefill to decode: add one to kv_connector_extra_config.connectors, such as NixlConnector."
      : `is ${quoted(name)}, which moves no KV from prefill to decode: use NixlConnector, or MultiConnector with NixlConnector and this one.`;
  return [problem([...path, "kv_connector"], message)];
}

export function proxyServesTheConnector(reading: Reading): readonly Problem[] {
  const { config } = readKv(reading, "prefill");
  const path = ["scheduler", "command"];
  const isOther = reading.draft.scheduler?.command !== undefined || reading.isBroken(path);
  if (isOther || !isConfig(config)) return [];
  const message = builtinProxyProblem(config, declaredVersion(reading));
  return message === undefined ? [] : [problem(path, `is missing: ${message}`)];
}

/** A prompt without KV would be waited for, or answered from what is not there. */
export function decodeComputesPrompts(reading: Reading): readonly Problem[] {
  const { command, degraded } = reading.draft.scheduler ?? {};
  const { config } = readKv(reading, "decode");
  if (degraded?.prefill !== "decode-local" || command !== undefined || !isConfig(config)) return [];
  const message = decodeLocalProblem(config, declaredVersion(reading));
  return message === undefined ? [] : [problem(["scheduler", "degraded", "prefill"], message)];
}
