import type { IncomingMessage } from "node:http";

/** A request's body as an object, and the edits that a P/D proxy makes. Unknown fields are passed on untouched. */
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
const keepForDecode = {
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
};

/** The same prompt, one token, one choice, not streamed. */
export function prefillBody(body: Body, handOver: RelayHandOver = "params"): Body {
  const { stream_options: _options, min_tokens: _min, kv_transfer_params: _client, ...rest } = body;
  const max = "max_completion_tokens" in body ? { max_completion_tokens: 1 } : {};
  const choices = "n" in body ? { n: 1 } : {};
  return {
    ...rest,
    ...max,
    ...choices,
    max_tokens: 1,
    stream: false,
    ...(handOver === "params" ? { kv_transfer_params: keepForDecode } : {}),
  };
}

/**
 * The client's own request plus where the KV is. What a client says about KV transfer is dropped: stale parameters can
 * kill an engine, so only what a prefill engine has just answered gets through.
 */
export function decodeBody(body: Body, kvTransferParams: unknown): Body {
  const { kv_transfer_params: _client, ...rest } = body;
  return kvTransferParams === undefined || kvTransferParams === null
    ? rest
    : { ...rest, kv_transfer_params: kvTransferParams };
}

/** An engine that is shutting down answers 200 with finish_reason `abort`; a failed KV load says `error`. */
export function isAborted(answer: Body): boolean {
  const choices = answer["choices"];
  if (!Array.isArray(choices)) return false;
  return choices.some(
    (choice: { finish_reason?: unknown }) =>
      choice?.finish_reason === "abort" || choice?.finish_reason === "error",
  );
}

/** Undefined when it is larger than `bytesMax`; the rest is then read and dropped, so that our answer can be read. */
export async function readBody(
  incoming: IncomingMessage,
  bytesMax: number,
): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let size = Number(incoming.headers["content-length"] ?? 0);
  if (size > bytesMax) return void incoming.resume();
  size = 0;
  for await (const part of incoming.iterator({ destroyOnReturn: false })) {
    size += (part as Buffer).length;
    if (size > bytesMax) return void incoming.resume();
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}
