import { homedir } from "node:os";
import { join } from "node:path";
import { loadClientConfig, loadClientConnectConfig } from "@temporalio/envconfig";
import type { ClientConnectConfig } from "@temporalio/envconfig";
import { ClientError } from "./client-error.ts";

/** Which Temporal server, and how to reach it: address, TLS, API key, metadata. For clients and workers alike. */
export interface Server {
  readonly address: string;
  readonly namespace: string;
  readonly connectionOptions: ClientConnectConfig["connectionOptions"];
}

export interface ServerWish {
  /** `host:port`; over what the profile says. */
  readonly address?: string | undefined;
  readonly namespace?: string | undefined;
  /** Of the `temporal` CLI's config file. */
  readonly profile?: string | undefined;
}

/** Where a Temporal server is when nobody says where. */
export const defaultAddress = "127.0.0.1:7233";

type Environment = Readonly<Record<string, string | undefined>>;

/** A server on this machine, spoken to without TLS or keys, whatever the user's own profile says. */
export const plainServer = (address: string, namespace = "default"): Server => ({
  address,
  namespace,
  connectionOptions: { address },
});

/**
 * The server that the `temporal` CLI would speak to: flags over `TEMPORAL_*` variables over the profile in its config
 * file. `isDefault` when none of them names an address. Fails with BadSettings, which names the file and quotes nothing of it.
 */
export function findServer(
  { address, namespace, profile }: ServerWish,
  env: Environment = process.env,
): Server & { readonly isDefault: boolean } {
  const settings = load(profile, env);
  const asked = address ?? (settings.connectionOptions.address || undefined);
  const target = asked ?? defaultAddress;
  return {
    address: target,
    isDefault: asked === undefined,
    namespace: namespace ?? (settings.namespace || "default"),
    connectionOptions: { ...settings.connectionOptions, address: target },
  };
}

function load(profile: string | undefined, env: Environment): ClientConnectConfig {
  const overrideEnvVars = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const wanted = profile ?? env["TEMPORAL_PROFILE"];
  try {
    const disableFile = !wanted && hasNoProfiles(overrideEnvVars);
    return loadClientConnectConfig({
      ...(profile ? { profile } : {}),
      disableFile,
      overrideEnvVars,
    });
  } catch (error) {
    const text = `${configFile(env)}: ${problemOf(error, wanted, overrideEnvVars)}`;
    throw new ClientError("BadSettings", text, error);
  }
}

/** Which profiles the config file has. The SDK stumbles over a file without any, such as an empty one. */
function profilesIn(overrideEnvVars: Record<string, string>): readonly string[] {
  try {
    return Object.keys(loadClientConfig({ overrideEnvVars }).profiles);
  } catch (error) {
    if (error instanceof TypeError) return [];
    throw error;
  }
}

const hasNoProfiles = (overrideEnvVars: Record<string, string>): boolean =>
  profilesIn(overrideEnvVars).length === 0;

/** Never the parser's own picture of the line: it may hold a key. */
function problemOf(
  error: unknown,
  profile: string | undefined,
  overrideEnvVars: Record<string, string>,
): string {
  const [first = ""] = String(error instanceof Error ? error.message : error).split("\n");
  const isTypo = /^Profile '.*' not found/.test(first) || error instanceof TypeError;
  if (isTypo && profile) {
    const known = profilesIn(overrideEnvVars);
    const has = known.length > 0 ? `It has: ${known.join(", ")}.` : "It has none.";
    return `there is no profile ${profile}. ${has} Make it: temporal config set --profile ${profile} --prop address --value HOST:PORT`;
  }
  return `${lineOf(error)}${first}. Mend this config file of the temporal CLI, or name another with TEMPORAL_CONFIG_FILE.`;
}

function lineOf(error: unknown): string {
  if (!(error instanceof Error) || !("line" in error) || !("column" in error)) return "";
  return `line ${String(error.line)}, column ${String(error.column)}: `;
}

/** Where the SDK looks, on Linux. */
function configFile(env: Environment): string {
  const configDir = env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config");
  return env["TEMPORAL_CONFIG_FILE"] ?? join(configDir, "temporalio", "temporal.toml");
}
