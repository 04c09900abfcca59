import { createHash } from "node:crypto";
import { PdjobError } from "../domain/errors.ts";
import { proxyKeysVariable } from "../domain/exposure.ts";
import type { ProxyAuth, ProxyKeys } from "../domain/exposure.ts";
import type { JobSpec } from "../domain/spec.ts";
import { engineKeys } from "../domain/proxy-start.ts";
import { resolveSecrets } from "./secrets.ts";

/** Of both scopes: Linux passes no longer variable to a program than 128 KiB, and each is compared with. */
const keysMax = 1_000;

/**
 * The variable that tells the built-in proxy its keys, resolved at the last moment; nothing for a job without keys. Of clients'
 * keys it holds digests, so that nobody who reads the proxy's environment can use them; of the engines' the keys themselves,
 * which the proxy sends them. Fails with SecretMissing.
 */
export async function proxyKeysEnv(spec: JobSpec): Promise<Readonly<Record<string, string>>> {
  const { auth } = spec.scheduler;
  if (!auth) return {};
  const [inference, admin] = await Promise.all([
    digestsOf(auth.inference, "inference"),
    digestsOf(auth.admin, "admin"),
  ]);
  const count = inference.length + admin.length;
  if (count > keysMax)
    throw new PdjobError(
      "SecretMissing",
      `scheduler.auth refers to ${count} keys, and ${keysMax} is the most: remove those that nobody uses.`,
    );
  const engines = await resolveSecrets(engineKeys(spec.roles), "api_key");
  return { [proxyKeysVariable]: JSON.stringify({ inference, admin, engines } satisfies ProxyKeys) };
}

async function digestsOf(
  references: readonly string[],
  scope: keyof ProxyAuth,
): Promise<readonly string[]> {
  const nameOf = (at: number): string => `${scope}[${at}]`;
  const named = references.map((reference, at) => [nameOf(at), reference] as const);
  const texts = await resolveSecrets(Object.fromEntries(named), "scheduler.auth");
  return named.flatMap(([name, reference]) => {
    const keys = keysOf(texts[name] ?? "");
    // Whoever sends no key must never be taken for one who sent the right one.
    if (keys.length > 0) return keys.map(digest);
    const message = `scheduler.auth.${name} refers to ${reference}, which holds no key. Write one key a line there.`;
    throw new PdjobError("SecretMissing", message);
  });
}

const keysOf = (text: string): readonly string[] =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");

const digest = (key: string): string => createHash("sha256").update(key).digest("base64");
