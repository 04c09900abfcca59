import { randomBytes, randomUUID } from "node:crypto";
import { createConnection, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { createInterface } from "node:readline";
import type { KvConnector } from "./kv-config.ts";
import type { EngineOptions } from "./options.ts";
import type { Prompt } from "./prompts.ts";

/**
 * NIXL's hand-over, simulated over TCP. What a decode engine gets for the parameters it was given:
 *
 * | prefill answers, same model and layout | blocks named | what follows                                                |
 * |----------------------------------------|--------------|-------------------------------------------------------------|
 * | yes, and holds the blocks              | enough       | the KV of *their* prompt, whoever asks; they are freed      |
 * | yes, but used or expired already       | enough       | whatever is in those blocks now: other words, nothing fails |
 * | yes                                    | too few      | the engine dies, as vLLM 0.32 does (an assertion)           |
 * | any                                    | none at all  | the same                                                    |
 * | no                                     | any          | a failed load                                               |
 */
export type Pulled =
  | { readonly kind: "pulled"; readonly heardAs: string }
  | { readonly kind: "failed" }
  | { readonly kind: "poisoned"; readonly why: string };

/** vLLM waits this long for a prefill engine's first word; a refusal is not noticed earlier. */
const handshakeTimeoutMs = Number(process.env["PDJOB_SIM_HANDSHAKE_MS"] ?? 5_000);
/** Requests that are over, to tell freed blocks from ones that never were. */
const rememberedMax = 10_000;
const addressKeys = ["remote_engine_id", "remote_request_id", "remote_host", "remote_port"];

export type KvParams = Readonly<Record<string, unknown>>;

interface PullRequest {
  readonly engineId: string;
  readonly requestId: string;
  readonly compatibility: string;
}

type Reply = { readonly heardAs: string } | { readonly refused: true };

/** Both ends of an engine's KV transfer. */
export interface KvTransfer {
  /** Requests whose blocks wait for a decode engine. */
  held(): number;
  expired(): number;
  /** Blocks that were read after they had been freed. */
  late(): number;
  /** The `kv_transfer_params` of a prefill answer. */
  offer(requestId: string, prompt: Prompt, maxTokens: number): KvParams;
  /** Never resolves when it is not told whom to ask: such a request waits for ever. */
  pull(params: KvParams, prompt: Prompt): Promise<Pulled>;
  /** Rejects when a side-channel port is taken. */
  listen(): Promise<void>;
  close(): void;
}

export function createTransfer(
  options: EngineOptions,
  { leaseS }: KvConnector,
  env: NodeJS.ProcessEnv,
): KvTransfer {
  const engineId = options.kv?.engineId ?? randomUUID();
  const host = env["VLLM_NIXL_SIDE_CHANNEL_HOST"] ?? "localhost";
  const port = Number(env["VLLM_NIXL_SIDE_CHANNEL_PORT"] ?? 5600);
  const held = new Map<string, { readonly text: string; readonly timer: NodeJS.Timeout }>();
  const over = new Set<string>();
  const servers: Server[] = [];
  let expired = 0;
  let late = 0;

  function end(requestId: string): void {
    clearTimeout(held.get(requestId)?.timer);
    held.delete(requestId);
    over.add(requestId);
    for (const oldest of over) {
      if (over.size <= rememberedMax) break;
      over.delete(oldest);
    }
  }

  function offer(answerId: string, prompt: Prompt, maxTokens: number): KvParams {
    const requestId = `${answerId}-${randomBytes(4).toString("hex")}`;
    const timer = setTimeout(() => {
      expired += 1;
      end(requestId);
    }, leaseS * 1_000);
    timer.unref();
    held.set(requestId, { text: prompt.text, timer });
    // The last token's own KV is never computed.
    const tokens = prompt.tokens.length + maxTokens - 1;
    const blocks = Math.ceil(tokens / options.blockSize);
    return {
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_block_ids: [Array.from({ length: blocks }, (_, index) => index + 1)],
      remote_engine_id: engineId,
      remote_request_id: requestId,
      remote_host: host,
      remote_port: port,
      tp_size: options.tensorParallelSize,
      dcp_size: 1,
      pp_size: 1,
      remote_num_tokens: tokens,
      remote_blocks_expiry_time: null,
      transfer_mode: "pull",
      ...(maxTokens === 1 ? { remote_prefill_cached_tokens: 0 } : {}),
    };
  }

  function replyTo(request: PullRequest): Reply {
    if (request.engineId !== engineId || request.compatibility !== compatibility(options))
      return { refused: true };
    const text = held.get(request.requestId)?.text;
    if (text === undefined) late += 1;
    end(request.requestId);
    return { heardAs: text ?? `what was left in the blocks of ${request.requestId}` };
  }

  function serve(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    // As a firewall or another node's loopback address would have it.
    if (env["PDJOB_SIM_SIDE_CHANNEL"] === "deaf") return void socket.resume();
    createInterface({ input: socket }).on("line", (line) => {
      socket.end(`${JSON.stringify(replyTo(JSON.parse(line) as PullRequest))}\n`);
    });
  }

  async function listen(): Promise<void> {
    for (const rank of options.gang.cores) {
      const server = createServer(serve);
      servers.push(server);
      await new Promise<void>((resolve, reject) =>
        server.once("error", reject).listen(port + rank, host, resolve),
      );
    }
  }

  return {
    held: () => held.size,
    expired: () => expired,
    late: () => late,
    offer,
    pull: (params, prompt) => pull(params, prompt, options),
    listen,
    close: () => servers.forEach((server) => server.close()),
  };
}

async function pull(params: KvParams, { tokens }: Prompt, options: EngineOptions): Promise<Pulled> {
  const groups = params["remote_block_ids"];
  const named = Array.isArray(groups) ? (groups as readonly (readonly unknown[])[])[0] : undefined;
  const needed = Math.ceil(tokens.length / options.blockSize);
  const poisoned = (count: number): Pulled => ({
    kind: "poisoned",
    why: `AssertionError: num_decode_blocks <= len(prefill_group): ${needed} blocks wanted, ${count} named`,
  });
  if (named === undefined) return poisoned(0);
  if (addressKeys.some((key) => !(key in params))) return new Promise(() => undefined);
  const reply = await ask(params, options);
  if (!reply || !("heardAs" in reply)) return { kind: "failed" };
  return named.length < needed
    ? poisoned(named.length)
    : { kind: "pulled", heardAs: reply.heardAs };
}

/** Undefined after the time-out, whatever the reason. */
function ask(params: KvParams, options: EngineOptions): Promise<Reply | undefined> {
  const request = {
    engineId: params["remote_engine_id"],
    requestId: params["remote_request_id"],
    compatibility: compatibility(options),
  };
  return new Promise((resolve) => {
    const socket = createConnection({
      host: String(params["remote_host"]),
      port: Number(params["remote_port"]),
    });
    const giveUp = setTimeout(() => {
      socket.destroy();
      resolve(undefined);
    }, handshakeTimeoutMs);
    socket.on("error", () => socket.destroy());
    createInterface({ input: socket })
      .on("error", () => socket.destroy())
      .on("line", (line) => {
        clearTimeout(giveUp);
        resolve(JSON.parse(line) as Reply);
      });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** What must be equal on both sides. vLLM hashes more; these are what a config can get wrong. */
const compatibility = ({ model, dtype, blockSize }: EngineOptions): string =>
  `${model}|${dtype}|${blockSize}`;
