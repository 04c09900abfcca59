import type { Desired } from "./memory.ts";

/** Why a pause or a resume makes no sense, in a sentence; undefined when it does. `settledRevision`: the last one seen to serve whole. */
export function pauseProblem(
  job: string,
  { rollout, stop }: Pick<Desired, "rollout" | "stop">,
  settledRevision: number | undefined,
  request: unknown,
): string | undefined {
  const paused =
    typeof request === "object" && request !== null && "paused" in request && request.paused;
  if (typeof paused !== "boolean") return 'A pause request is {"paused":true} or {"paused":false}.';
  if (stop) return `Job ${job} is stopping.`;
  if (!rollout)
    return `Job ${job} has had no change of its config: there is nothing to ${paused ? "pause" : "resume"}.`;
  // A later apply would not be held up by it, so whoever pauses ahead of one must hear of that.
  return paused && rollout.revision <= (settledRevision ?? 0)
    ? `Revision ${rollout.revision} of job ${job} serves already: there is nothing to pause.`
    : undefined;
}
