import type { PlanInput } from "../domain/plan.ts";
import type { ReplicaStep } from "./replica.ts";
import type { World } from "./world.ts";

const retryAfterMs = 60_000;

/** Nothing that would run in the uploaded files may start yet, and no GPUs are taken for it. */
export const lacksFiles = ({ spec, memory }: PlanInput): boolean =>
  spec.upload !== undefined && memory.package === undefined;

/**
 * Uploads the job's folder, once. Until the job has served, a failure ends it; a job that was adopted while it served
 * tries again, since what runs does not need it.
 */
export function stepFiles({ busy }: World, input: PlanInput): ReplicaStep {
  const directory = input.spec.upload;
  if (directory === undefined || !lacksFiles(input) || busy.has("job")) return undefined;
  const failedAtMs = input.memory.failures["job"]?.atMs;
  if (failedAtMs !== undefined && input.nowMs < failedAtMs + retryAfterMs)
    return { wakeAtMs: failedAtMs + retryAfterMs };
  const reason = "engines and proxy are to find these files on every node";
  return { action: { kind: "uploadFiles", directory, reason } };
}

/** What goes into the action that starts something in the uploaded files. */
export const uploaded = ({ memory }: PlanInput): { readonly package?: string } =>
  memory.package === undefined ? {} : { package: memory.package };
