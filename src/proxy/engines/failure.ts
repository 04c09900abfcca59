/**
 * How a leg failed. `refused`: nobody took the request, it is as good as new; `late`: the engine was given all its time;
 * `dropped`: everything else, which happened to an engine that had the request.
 */
export type LegFailure = "refused" | "late" | "dropped";

/** An error that says how a leg failed; one that does not say it is `dropped`. */
export const legError = (how: LegFailure, message: string): Error =>
  Object.assign(new Error(message), { how });

export const howItFailed = (error: Error): LegFailure =>
  "how" in error ? (error.how as LegFailure) : "dropped";

export const silence = (timeoutMs: number): Error =>
  legError("late", `sent nothing for ${timeoutMs / 1_000} s`);
