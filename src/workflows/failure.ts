import { ActivityFailure, ApplicationFailure, TimeoutFailure } from "@temporalio/workflow";
import { isErrorCode } from "../domain/errors.ts";
import type { Failure } from "../domain/errors.ts";

/**
 * The failure inside an activity's failure: its type is our code, its message our sentence. Behind a timeout is what the
 * last attempt failed with.
 */
export function toFailure(error: unknown): Failure {
  const cause = told(error) ?? (error instanceof ActivityFailure ? error.cause : error);
  const message = cause instanceof Error ? cause.message : String(cause);
  const type = cause instanceof ApplicationFailure ? (cause.type ?? "") : "";
  return { code: isErrorCode(type) ? type : "Internal", message };
}

/** Did an activity say what is wrong? Otherwise there may only have been no worker to perform it. */
export const isTold = (error: unknown): boolean => told(error) !== undefined;

function told(error: unknown): ApplicationFailure | undefined {
  const outer = error instanceof ActivityFailure ? error.cause : error;
  const cause = outer instanceof TimeoutFailure ? outer.cause : outer;
  return cause instanceof ApplicationFailure ? cause : undefined;
}
