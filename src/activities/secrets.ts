import { readFile } from "node:fs/promises";
import { PdjobError } from "../domain/errors.ts";

/**
 * Replaces `env:NAME` and `file:PATH` references by their values, read on the worker at the last moment, so that no
 * value is in any Temporal payload. Fails with SecretMissing, which names the reference and never a value.
 */
export async function resolveSecrets(
  env: Readonly<Record<string, string>>,
  where = "envs",
): Promise<Record<string, string>> {
  const entries = Object.entries(env).map(
    async ([key, value]) => [key, await resolve(`${where}.${key}`, value)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function resolve(key: string, value: string): Promise<string> {
  if (value.startsWith("env:")) {
    const found = process.env[value.slice("env:".length)];
    if (found !== undefined) return found;
    throw missing(
      key,
      value,
      "is not set in the worker's environment. Set it there and restart the worker",
    );
  }
  if (!value.startsWith("file:")) return value;
  const path = value.slice("file:".length);
  const text = await readFile(path, "utf8").catch(() => {
    throw missing(
      key,
      value,
      "cannot be read by the worker. Put the file there, or fix its permissions",
    );
  });
  return text.replace(/\r?\n$/, "");
}

const missing = (key: string, reference: string, what: string): PdjobError =>
  new PdjobError("SecretMissing", `${key} refers to ${reference}, which ${what}.`);
