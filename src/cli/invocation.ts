import { existsSync } from "node:fs";
import { delimiter, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findServer } from "../client/server.ts";
import type { Stack } from "../dev/stack.ts";
import { userStateDir } from "../dev/state-file.ts";
import { findTemporal } from "../dev/temporal-cli.ts";
import { shellLine } from "./output.ts";

const program = "pdjob-client";
const root = fileURLToPath(new URL("../../", import.meta.url));

type Environment = Readonly<Record<string, string | undefined>>;

/** Lines that a user may type in another terminal to reach a stack: programs by a path that works, settings that are needed. */
export async function linesFor(
  { stateDir, temporalAddress }: Pick<Stack, "stateDir" | "temporalAddress">,
  env: Environment = process.env,
) {
  const isOwn = hasOwnServer(env);
  const isUsual = resolve(stateDir) === resolve(userStateDir()) && !isOwn;
  const stack = isUsual ? [] : ["--state-dir", resolve(stateDir)];
  const { path } = await findTemporal();
  const isolated = isOwn ? ["--disable-config-file", "--disable-config-env"] : [];
  return {
    /** `./bin/pdjob-client status demo` */
    client: (...words: readonly string[]) => shellLine([ownCommand(env), ...words, ...stack]),
    /** `temporal --address … workflow signal …` */
    temporal: (...words: readonly string[]) =>
      shellLine([path, "--address", temporalAddress, ...isolated, ...words]),
  };
}

/** By its name when it is on PATH; else by a path. */
export function ownCommand(env: Environment = process.env): string {
  const folders = (env["PATH"] ?? "").split(delimiter);
  const isOnPath = folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
  return isOnPath ? program : shownPath(`bin/${program}`, env);
}

/** A file of the project as the user may type it: npm changes the folder, and says from where. */
export function shownPath(file: string, env: Environment = process.env): string {
  const fromHere = relative(env["INIT_CWD"] ?? process.cwd(), join(root, file));
  return fromHere.startsWith("..") ? join(root, file) : `./${fromHere}`;
}

/** Do the user's own settings name a server, or keys for one? The other verbs and the `temporal` CLI would follow them. */
function hasOwnServer(env: Environment): boolean {
  try {
    const { isDefault, namespace, connectionOptions } = findServer({}, env);
    const { tls, apiKey, metadata } = connectionOptions;
    const hasKeys = Boolean(tls) || Boolean(apiKey) || Object.keys(metadata ?? {}).length > 0;
    return !isDefault || namespace !== "default" || hasKeys;
  } catch {
    return true; // They cannot be read: neither would those programs.
  }
}
