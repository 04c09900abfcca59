import { z } from "zod";
import { didYouMean } from "./nearest.ts";
import { quoted } from "./problem.ts";
import type { Path } from "./problem.ts";
import { configFile } from "./schema.ts";

/** The keys that the schema knows at a path, in its order; empty where any key goes. */
export function keysAt(path: Path): readonly string[] {
  let type = mappingOf(configFile);
  for (const key of ofOutermost(path)) type = mappingOf(type?.shape[key]);
  return Object.keys(type?.shape ?? {});
}

/** What to tell about a key that is not among them. */
export function unknownKey(path: Path): string {
  const key = path.at(-1) ?? "";
  const parent = path.slice(0, -1);
  const known = keysAt(parent);
  const meant = didYouMean(key, known);
  if (meant !== "") return `is not a known key.${meant}`;
  const takesParams = known.includes("params");
  const engineFlags = takesParams ? " Flags of the engine go under params." : "";
  return `is not a known key: remove ${quoted(key)}, or use one of ${known.join(", ")}.${engineFlags}`;
}

/** A child of MultiConnector takes the keys of the configuration that it stands in. */
function ofOutermost(path: Path): Path {
  const first = path.findIndex(
    (key, at) => key === "kv_connector_extra_config" && path[at + 1] === "connectors",
  );
  const isChild = first >= 0 && path[first + 2] !== undefined;
  return isChild ? ofOutermost([...path.slice(0, first), ...path.slice(first + 3)]) : path;
}

/** The object inside wrappers such as optional, or among the choices of a union. */
function mappingOf(type: unknown): z.ZodObject | undefined {
  if (type instanceof z.ZodObject) return type;
  if (type instanceof z.ZodUnion)
    return type.options.map(mappingOf).find((one) => one !== undefined);
  const isWrapper =
    type instanceof z.ZodOptional ||
    type instanceof z.ZodNullable ||
    type instanceof z.ZodDefault ||
    type instanceof z.ZodPrefault;
  return isWrapper ? mappingOf(type.unwrap()) : undefined;
}
