import { givenParam } from "./given.ts";
import type { Told } from "./given.ts";

export type ParallelParam =
  | "data_parallel_size"
  | "tensor_parallel_size"
  | "pipeline_parallel_size";

/** One of vLLM's sizes as the user wrote it, in `params` or in `_extra_params`; 1 when it is not given. */
export function parallelSize(role: Told, param: ParallelParam): number {
  const given = givenParam(role, param);
  const size = typeof given === "symbol" ? Number.NaN : Number(given);
  return Number.isInteger(size) && size > 0 ? size : 1;
}
