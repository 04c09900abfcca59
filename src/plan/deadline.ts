import type { PlanInput } from "../domain/plan.ts";

/** When a first deployment must be READY. */
export const readyByMs = ({ memory, spec }: PlanInput): number =>
  memory.deployStartedAtMs + spec.timeoutS * 1_000;
