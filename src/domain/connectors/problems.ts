import type { KvTransferConfig } from "../spec.ts";
import { configuredConnectors, handOverBy } from "./children.ts";
import type { HandOver } from "./connector.ts";
import { absence, changedKeys, nameIn } from "./table.ts";
import { isIn, versionText } from "./version.ts";
import type { Version } from "./version.ts";

/** Something that a version has against a role's kv_transfer_config. */
export interface VersionProblem {
  /** Within kv_transfer_config. */
  readonly path: readonly string[];
  /** A whole sentence. */
  readonly message: string;
  /** Warnings tell what is changed for the engine's sake; with an error the engine would not start. */
  readonly severity: "error" | "warning";
}

/** Connectors and keys that a version does not have, or has under another name. An unknown version is the newest. */
export const versionProblems = (
  config: KvTransferConfig,
  version: Version | undefined,
): readonly VersionProblem[] =>
  configuredConnectors(config).flatMap(({ known, config: one, path }) => [
    ...(known ? connectorProblems(one.kv_connector, known, version, path) : []),
    ...keyProblems(one, known !== undefined, version, path),
  ]);

function connectorProblems(
  written: string,
  known: NonNullable<ReturnType<typeof configuredConnectors>[number]["known"]>,
  version: Version | undefined,
  path: readonly string[],
): readonly VersionProblem[] {
  const at = [...path, "kv_connector"];
  const absent = absence(known, version);
  if (absent !== undefined) return [{ path: at, message: absent, severity: "error" }];
  const called = nameIn(known, version);
  if (called.toLowerCase() === written.toLowerCase()) return [];
  const message = `${written} is called ${called} in vLLM ${versionText(version)}: engines get the name that they know.`;
  return [{ path: at, message, severity: "warning" }];
}

function keyProblems(
  config: KvTransferConfig,
  isVllmsOwn: boolean,
  version: Version | undefined,
  path: readonly string[],
): readonly VersionProblem[] {
  return Object.keys(config).flatMap((key): readonly VersionProblem[] => {
    const releases = changedKeys[key];
    if (releases === undefined || isIn(releases, version)) return [];
    const { since } = releases;
    const where = `${key} is no key of KVTransferConfig in vLLM ${versionText(version)}`;
    if (since !== undefined) {
      const message = `${where}: it came with ${since}. Remove it, or use engines of vLLM ${since} or newer.`;
      return [{ path: [...path, key], message, severity: "error" }];
    }
    return isVllmsOwn
      ? [
          {
            path: [...path, key],
            message: `${where}, and no connector reads it any more: it is left out there.`,
            severity: "warning",
          },
        ]
      : [{ path: [...path, key], message: `${where}: remove it.`, severity: "error" }];
  });
}

/** What each way of handing KV over asks of a proxy, as far as the built-in one cannot do it. */
const beyondBuiltin: Readonly<Partial<Record<HandOver, string>>> = {
  concurrent: "wants both engines asked at once, with ids that the proxy makes up",
  registering: "has its engines register with the proxy",
  notifying: "has prefill tell the proxy when decode may begin",
};

/** Why the built-in proxy cannot serve a prefill role's connector, and what to do; undefined when it can or may. */
export function builtinProxyProblem(
  config: KvTransferConfig,
  version: Version | undefined,
): string | undefined {
  const handOver = handOverBy(config, version);
  if (handOver === undefined || handOver === "unknown") return undefined;
  const want = beyondBuiltin[handOver.kind];
  if (want === undefined) return undefined;
  const { name, proxies } = handOver.by;
  const child = handOver.path.length > 0 ? ` (${placeText(handOver.path)})` : "";
  return `${name}${child} ${want}, which the built-in proxy does not do. Give the command of a proxy that does (${proxies.join(", or ")}), or use NixlConnector.`;
}

/** Whose decode engine computes a prompt that it is handed no KV for: nobody else waits for it, and nothing is registered. */
const decodesAlone: ReadonlySet<HandOver> = new Set(["params", "store"]);

/** Why decode engines must not be asked without a prefill, and what to do; undefined when they may. */
export function decodeLocalProblem(
  config: KvTransferConfig,
  version: Version | undefined,
): string | undefined {
  const handOver = handOverBy(config, version);
  if (handOver === undefined) return undefined;
  if (handOver !== "unknown" && decodesAlone.has(handOver.kind)) return undefined;
  const name = handOver === "unknown" ? config.kv_connector : handOver.by.name;
  return `is decode-local, but it is not known that decode engines of ${name} compute a prompt that they get no KV for: write fail, or leave it out.`;
}

/** `kv_connector_extra_config.connectors[1]` */
const placeText = (path: readonly string[]): string =>
  path
    .map((key) => (/^\d+$/.test(key) ? `[${key}]` : `.${key}`))
    .join("")
    .slice(1);
