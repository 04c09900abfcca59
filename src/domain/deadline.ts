import type { Memory } from "./memory.ts";
import type { JobSpec } from "./spec.ts";

/** When a first deployment must be READY. */
export const readyByMs = ({
  memory,
  spec,
}: {
  readonly memory: Memory;
  readonly spec: JobSpec;
}): number => memory.deployStartedAtMs + spec.timeoutS * 1_000;
