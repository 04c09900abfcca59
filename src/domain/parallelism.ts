import { paramOf } from "./engine-flags.ts";
import type { RoleSpec } from "./spec.ts";

export type ParallelParam =
  | "data_parallel_size"
  | "tensor_parallel_size"
  | "pipeline_parallel_size";

/** One of vLLM's sizes as the user wrote it, in `params` or in `_extra_params`; 1 when it is not given. */
export function parallelSize({ params, extraArgs }: RoleSpec, param: ParallelParam): number {
  const at = extraArgs.findLastIndex((word) => paramOf(word) === param);
  const [, inline] = extraArgs[at]?.split("=", 2) ?? [];
  const given = params[param] ?? params[param.replaceAll("_", "-")];
  // Extra arguments come last on the command line, so they win there too.
  const size = Number(at < 0 ? given : (inline ?? extraArgs[at + 1]));
  return Number.isInteger(size) && size > 0 ? size : 1;
}
