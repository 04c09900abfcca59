import {
  CancelledFailure,
  NamespaceNotFoundError,
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  isGrpcServiceError,
} from "@temporalio/client";
import { ClientError } from "./client-error.ts";

export interface Place {
  readonly address: string;
  readonly namespace: string;
  /** Absent when the call was about no particular job. */
  readonly job?: string;
}

// gRPC's own numbers; the package that names them is not one of ours.
const notFound = 5;
const permissionDenied = 7;
const unavailable = 14;
const unauthenticated = 16;

/** Temporal's errors as ours; what we do not know stays as it is. */
export function explain(error: unknown, place: Place): unknown {
  if (error instanceof ClientError) return error;
  const { address, namespace, job } = place;
  if (error instanceof WorkflowUpdateFailedError)
    return new ClientError("Refused", error.cause?.message ?? error.message, error);
  if (error instanceof WorkflowFailedError && job !== undefined)
    return new ClientError("JobFailed", reasonOf(job, error), error);
  const { code, details } = grpcStatusOf(error);
  if (code === unavailable) return serverGone(place, error);
  if (code === permissionDenied || code === unauthenticated) {
    const text = `The Temporal server at ${address} refused us (${details}). Check the profile (--profile) or TEMPORAL_API_KEY and TEMPORAL_TLS_*.`;
    return new ClientError("BadSettings", text, error);
  }
  if (/namespace\b.*not found/i.test(details)) {
    const text = `The Temporal server at ${address} has no namespace ${namespace}. Name another with --namespace, or make it: temporal operator namespace create -n ${namespace}`;
    return new ClientError("NoSuchNamespace", text, error);
  }
  if (job !== undefined && /already completed/i.test(details))
    return new ClientError("JobEnded", `Job ${job} has ended already.`, error);
  if (job !== undefined && code === notFound)
    return new ClientError("NoSuchJob", `There is no job ${job}. See pdjob-client list.`, error);
  if (code === undefined) return error;
  const text = `The Temporal server at ${address} refused that: ${details}`;
  return new ClientError("Refused", text, error);
}

/** The server was there when we connected. */
export function serverGone({ address, job }: Place, cause?: unknown): ClientError {
  const comfort =
    job === undefined
      ? "Jobs go on without it, and are looked after again when it is back."
      : `Job ${job} goes on without it: what runs in Ray serves as it is, and is looked after again when the server is back. Then: pdjob-client status ${job} --watch`;
  const text = `The Temporal server at ${address} does not answer any more. ${comfort}`;
  return new ClientError("Unreachable", text, cause);
}

/** A cancelled workflow's own words do not reach the client, so they are repeated here. */
function reasonOf(job: string, { cause, message }: WorkflowFailedError): string {
  if (cause instanceof CancelledFailure)
    return `Job ${job} was cancelled; everything of it is released.`;
  return cause?.message ?? message;
}

/** The SDK wraps gRPC's errors, or turns "not found" into an error of its own that has no code. */
function grpcStatusOf(error: unknown): { readonly code?: number; readonly details: string } {
  const inner = error instanceof ServiceError ? error.cause : error;
  if (isGrpcServiceError(inner)) return { code: inner.code, details: inner.details };
  if (!(error instanceof Error)) return { details: String(error) };
  const isMissing =
    error instanceof WorkflowNotFoundError || error instanceof NamespaceNotFoundError;
  return isMissing ? { code: notFound, details: error.message } : { details: error.message };
}
