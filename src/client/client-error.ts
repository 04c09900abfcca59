export type ClientErrorCode =
  | "BadSettings"
  | "Unreachable"
  | "NoSuchNamespace"
  | "NoSuchJob"
  | "JobEnded"
  | "AlreadyRunning"
  | "NoWorker"
  | "Refused"
  | "JobFailed";

/** What can go wrong between us and a job, as a code and a sentence that says what to do. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
