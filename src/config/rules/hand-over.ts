import { handOverBy, isConfig } from "../../domain/connectors/children.ts";
import type { HandOver } from "../../domain/connectors/connector.ts";
import { readKv } from "../kv.ts";
import { problem, quoted } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

/** What each way of handing KV over asks of a proxy, as far as the built-in one cannot do it. */
const beyondBuiltin: Readonly<Partial<Record<HandOver, string>>> = {
  concurrent: "wants both engines asked at once, with ids that the proxy makes up",
  registering: "has its engines register with the proxy",
  notifying: "has prefill tell the proxy when decode may begin",
};

/** A cache or a benchmark starts and serves, and every prompt is computed twice. */
export function kvIsHandedOver(reading: Reading): readonly Problem[] {
  const found = prefillHandOver(reading);
  if (found === undefined || found.handOver !== undefined) return [];
  const { path, name } = found;
  const message =
    name.toLowerCase() === "multiconnector"
      ? "is MultiConnector without a connector that moves KV from prefill to decode: add one to kv_connector_extra_config.connectors, such as NixlConnector."
      : `is ${quoted(name)}, which moves no KV from prefill to decode: use NixlConnector, or MultiConnector with NixlConnector and this one.`;
  return [problem([...path, "kv_connector"], message)];
}

export function proxyServesTheConnector(reading: Reading): readonly Problem[] {
  const { command } = reading.draft.scheduler ?? {};
  const commandPath = ["scheduler", "command"];
  const handOver = prefillHandOver(reading)?.handOver;
  if (command !== undefined || reading.isBroken(commandPath)) return [];
  if (handOver === undefined || handOver === "unknown") return [];
  const want = beyondBuiltin[handOver.kind];
  if (want === undefined) return [];
  const { name, proxies } = handOver.by;
  return [
    problem(
      commandPath,
      `is missing: ${name} ${want}, which the built-in proxy does not do. Give the command of a proxy that does (${proxies.join(", or ")}), or use NixlConnector.`,
    ),
  ];
}

/** Undefined when the connector is unknown or could not be read, of which other rules tell. */
function prefillHandOver(
  reading: Reading,
):
  | { readonly path: Path; readonly name: string; readonly handOver: ReturnType<typeof handOverBy> }
  | undefined {
  const { path, config } = readKv(reading, "prefill");
  if (!isConfig(config) || config.kv_connector === "") return undefined;
  return { path, name: config.kv_connector, handOver: handOverBy(config, undefined) };
}
