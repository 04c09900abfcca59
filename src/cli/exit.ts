import { ClientError } from "../client/client-error.ts";
import { PdjobError } from "../domain/errors.ts";

/** 0 done, 1 failed, 2 usage or invalid config, 3 server unreachable, 4 no such job or one that has ended, 5 still under way when the time to wait was over, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 130;

/** Ends the verb with this code; the message, if any, goes to standard error. Only `main` exits. */
export class Exit extends Error {
  readonly code: ExitCode;

  constructor(code: ExitCode, message = "") {
    super(message);
    this.code = code;
  }
}

/** What an error means to the shell, and what to tell the user: never a stack trace for what can be expected. */
export function exitOf(error: unknown): { readonly code: ExitCode; readonly message: string } {
  if (error instanceof Exit) return { code: error.code, message: error.message };
  if (error instanceof ClientError) return { code: codeOf(error), message: error.message };
  if (error instanceof PdjobError)
    return { code: error.code.endsWith("Unreachable") ? 3 : 1, message: error.message };
  return { code: 1, message: error instanceof Error ? error.message : String(error) };
}

function codeOf({ code }: ClientError): ExitCode {
  switch (code) {
    case "BadSettings":
    case "NoSuchNamespace":
      return 2;
    case "Unreachable":
    case "NoWorker":
      return 3;
    case "NoSuchJob":
    case "JobEnded":
      return 4;
    case "AlreadyRunning":
    case "Refused":
    case "JobFailed":
      return 1;
  }
}
