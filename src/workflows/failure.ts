import { ActivityFailure, ApplicationFailure, TimeoutFailure } from "@temporalio/workflow";
import { isErrorCode } from "../domain/errors.ts";
import type { Failure } from "../domain/errors.ts";

/**
 * The failure inside an activity's failure: its type is our code, its message our sentence. Behind a timeout is what the
 * last attempt failed with.
 */
export function toFailure(error: unknown): Failure {
  const outer = error instanceof ActivityFailure ? error.cause : error;
  const cause =
    outer instanceof TimeoutFailure && outer.cause instanceof ApplicationFailure
      ? outer.cause
      : outer;
  const message = cause instanceof Error ? cause.message : String(cause);
  const type = cause instanceof ApplicationFailure ? (cause.type ?? "") : "";
  return { code: isErrorCode(type) ? type : "Internal", message };
}
