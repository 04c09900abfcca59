import { paramOf } from "./engine-flags.ts";
import type { RoleSpec } from "./spec.ts";

/** vLLM's data_parallel_size as the user wrote it, in `params` or in `_extra_params`; 1 when it is not given. */
export function dataParallelSize({ params, extraArgs }: RoleSpec): number {
  const at = extraArgs.findLastIndex((word) => paramOf(word) === "data_parallel_size");
  const [, inline] = extraArgs[at]?.split("=", 2) ?? [];
  // Extra arguments come last on the command line, so they win there too.
  const value = at < 0 ? params["data_parallel_size"] : (inline ?? extraArgs[at + 1]);
  const size = Number(value);
  return Number.isInteger(size) && size > 0 ? size : 1;
}
