import type { ErrorCode } from "../../../src/domain/errors.ts";

/** Errors of actors are answers, not exceptions. */
export const refusal = (code: ErrorCode | "BadRequest", message: string) => ({
  error: { code, message },
});
