import type { Connector, HandOver, TensorParallel } from "./connector.ts";
import { lmcache } from "./lmcache.ts";
import { pointToPoint } from "./point-to-point.ts";
import { stores } from "./stores.ts";
import { isIn, versionText } from "./version.ts";
import type { Releases, Version } from "./version.ts";

/** Every KV connector of vLLM 0.10 to 0.32, each once. */
export const connectorTable: readonly Connector[] = [...pointToPoint, ...stores, ...lmcache];

/** Every name that some release knows, in vLLM's spelling. */
export const connectorNames: readonly string[] = connectorTable
  .flatMap(({ name, formerly }) => (formerly ? [name, formerly.name] : [name]))
  .toSorted((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));

/** By its name of today or of earlier; capitals do not matter. */
export function findConnector(name: string): Connector | undefined {
  const wanted = name.toLowerCase();
  return connectorTable.find(
    (one) => one.name.toLowerCase() === wanted || one.formerly?.name.toLowerCase() === wanted,
  );
}

/** A connector's name as vLLM writes it, or undefined when vLLM has none of that name. */
export const spelledConnector = (name: string): string | undefined =>
  connectorNames.find((one) => one.toLowerCase() === name.toLowerCase());

/** What a version calls a connector. */
export const nameIn = ({ name, formerly }: Connector, version: Version | undefined): string =>
  formerly !== undefined && isIn({ until: formerly.until }, version) ? formerly.name : name;

/** Why a version does not have a connector and what to do about it; undefined when it has it. */
export function absence(connector: Connector, version: Version | undefined): string | undefined {
  if (isIn(connector, version)) return undefined;
  const { name, since, until, instead } = connector;
  const where = `${name} is not in vLLM ${versionText(version)}`;
  if (until !== undefined && isIn({ since: until }, version)) {
    return `${where}: ${until} removed it. Use ${instead ?? "another connector"}, or engines older than vLLM ${until}.`;
  }
  return `${where}: it came with ${since}. Use engines of vLLM ${since} or newer, or another connector.`;
}

/** How it hands KV over in a version; undefined when it does not do so by itself. */
export const handOverOf = (
  { handOver = [] }: Connector,
  version: Version | undefined,
): HandOver | undefined => first(handOver, version)?.kind;

export const tensorParallelOf = (
  { tensorParallel }: Connector,
  version: Version | undefined,
): TensorParallel => first(tensorParallel, version)?.rule ?? "any";

const first = <T extends Releases>(rows: readonly T[], version: Version | undefined) =>
  rows.find((row) => isIn(row, version));

/** Keys of KVTransferConfig that not every release has: the engine refuses one that its release does not have. */
export const changedKeys: Readonly<Record<string, Releases>> = {
  enable_permute_local_kv: { since: "0.11.1" },
  kv_buffer_size: { until: "0.32" },
  kv_ip: { until: "0.32" },
  kv_load_failure_policy: { since: "0.13" },
  kv_parallel_size: { until: "0.32" },
  kv_rank: { until: "0.32" },
};
