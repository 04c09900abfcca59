import { hasAbortedChoice, parseBody } from "../bytes/body.ts";
import type { Body } from "../bytes/body.ts";

/** What the first events of a stream say. Until something of the answer is in them, it can still be tried elsewhere. */
export type Opening =
  | { readonly kind: "undecided" }
  /** The answer has begun, or it is something that we do not know: it belongs to the client. */
  | { readonly kind: "begun" }
  /** The engine is shutting down. */
  | { readonly kind: "aborted" }
  /** The engine failed after its headers had gone out. */
  | { readonly kind: "failed"; readonly status: number; readonly message: string };

const undecided: Opening = { kind: "undecided" };
const begun: Opening = { kind: "begun" };
const failedStatusDefault = 500;

/** `text` is all that has come so far. Its last event may be cut, and is not looked at yet. */
export function readOpening(text: string): Opening {
  const events = text.split(/\r?\n\r?\n/).slice(0, -1);
  return events.map(readEvent).find(({ kind }) => kind !== "undecided") ?? undecided;
}

function readEvent(event: string): Opening {
  const data = dataOf(event);
  if (data === undefined) return undecided; // A comment that keeps the connection alive.
  const body = parseBody(data);
  if (!body) return begun; // [DONE], or nothing that we know.
  if (body["error"] !== undefined) return readError(body["error"]);
  if (hasAbortedChoice(body)) return { kind: "aborted" };
  const choices = body["choices"];
  if (!Array.isArray(choices)) return begun;
  return choices.some(hasContent) ? begun : undecided;
}

/** The data of an event; undefined when it has none. */
export function dataOf(event: string): string | undefined {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length === 0
    ? undefined
    : lines.map((line) => line.slice("data:".length)).join("\n");
}

export function readError(error: unknown): Opening {
  const { code, message } = (typeof error === "object" && error !== null ? error : {}) as Body;
  const status = typeof code === "number" ? code : failedStatusDefault;
  // A client's mistake is the client's to read.
  return status >= failedStatusDefault
    ? { kind: "failed", status, message: String(message ?? JSON.stringify(error)) }
    : begun;
}

/** A chat's first event only names the role. */
function hasContent(choice: { text?: unknown; delta?: unknown; finish_reason?: unknown }): boolean {
  if (typeof choice?.finish_reason === "string") return true;
  const { role: _role, ...delta } = (choice?.delta ?? {}) as Body;
  return [choice?.text, ...Object.values(delta)].some(isFilled);
}

const isFilled = (value: unknown): boolean =>
  Array.isArray(value) || typeof value === "string"
    ? value.length > 0
    : value !== undefined && value !== null;
