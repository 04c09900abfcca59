import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { findPython } from "../ray/agent.ts";

/**
 * Our environment without what addresses other servers and clusters: the embedded stack must neither be mistaken for the
 * user's own Temporal or Ray, nor be asked with their keys.
 */
export const ownEnv = (): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TEMPORAL|RAY)_/.test(name)),
  );

/**
 * Of the local Ray nodes, and so of their engines: the simulated engine and the environment's own programs are on the
 * PATH. No token that a `ray.init()` of the user's has left in the home folder counts: Ray would ask everybody for it.
 */
export function nodeEnv(): Record<string, string | undefined> {
  const bin = fileURLToPath(new URL("../../bin", import.meta.url));
  const path = [bin, dirname(findPython()), dirname(process.execPath), process.env["PATH"]].join(
    delimiter,
  );
  return { ...ownEnv(), PATH: path, RAY_AUTH_MODE: "disabled" };
}
