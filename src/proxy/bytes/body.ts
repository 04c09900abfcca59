import { editedParts, jsonOf, textOf } from "./edit.ts";
import type { JsonObject } from "./json.ts";

/** A small JSON object: of the orchestrator, or an engine's answer. */
export type Body = Readonly<Record<string, unknown>>;

/** Undefined for anything that is not a JSON object. */
export function parseBody(text: string): Body | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Body)
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * How the engines pass KV on: params = prefill answers with parameters that decode is given; store = decode finds it by
 * the prompt, and neither is told anything.
 */
export type RelayHandOver = "params" | "store";

/** What tells a prefill engine to keep the prompt's KV for somebody else. */
const keepForDecode = jsonOf({
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
});
const one = jsonOf(1);
const no = jsonOf(false);

/** The same prompt, one token, one choice, not streamed; in parts. */
export function prefillBody(
  body: JsonObject,
  handOver: RelayHandOver = "params",
): readonly Buffer[] {
  const has = (key: string): boolean => body.members.some((member) => member.key === key);
  return editedParts(body, {
    stream_options: undefined,
    min_tokens: undefined,
    kv_transfer_params: handOver === "params" ? keepForDecode : undefined,
    max_tokens: one,
    stream: no,
    ...(has("max_completion_tokens") ? { max_completion_tokens: one } : {}),
    ...(has("n") ? { n: one } : {}),
  });
}

/**
 * The client's own request plus where the KV is, as the prefill engine put it. What a client says about KV transfer is
 * dropped: stale parameters can kill an engine, so only what a prefill engine has just answered gets through.
 * In parts.
 */
export const decodeBody = (
  body: JsonObject,
  kvTransferParams: Buffer | undefined,
): readonly Buffer[] => editedParts(body, { kv_transfer_params: kvTransferParams });

/** What a prefill engine says of the KV that it keeps; undefined when it says none. */
export function kvTransferParamsOf(answer: JsonObject): Buffer | undefined {
  const text = textOf(answer, "kv_transfer_params");
  return text?.toString("latin1") === "null" ? undefined : text;
}

const endings = ['"abort"', '"error"'] as const;

/** An engine that is shutting down answers 200 with finish_reason `abort`; a failed KV load says `error`. */
export function isAborted(answer: Buffer): boolean {
  if (!endings.some((ending) => answer.includes(ending))) return false;
  return hasAbortedChoice(parseBody(answer.toString("utf8")) ?? {});
}

export function hasAbortedChoice({ choices }: Body): boolean {
  if (!Array.isArray(choices)) return false;
  return choices.some(
    (choice: { finish_reason?: unknown }) =>
      choice?.finish_reason === "abort" || choice?.finish_reason === "error",
  );
}
