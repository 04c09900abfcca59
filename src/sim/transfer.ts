import { randomUUID } from "node:crypto";
import { createConnection, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { createInterface } from "node:readline";
import type { EngineOptions } from "./options.ts";

/**
 * NIXL's hand-over, simulated over TCP. What a decode engine gets for the parameters it was given:
 *
 * | prefill still holds the blocks | same prompt | outcome                                                       |
 * |--------------------------------|-------------|---------------------------------------------------------------|
 * | yes                            | yes         | pulled; the blocks are freed                                  |
 * | no (used, expired, gone)       | yes         | load failure: HTTP 500, or recomputed if the policy says so   |
 * | any                            | no          | the engine dies, as vLLM 0.32 does on such a poisoned request |
 */
export type PullOutcome = "pulled" | "load-failure" | "poisoned";

const connectTimeoutMs = 5_000;
/** Prompts of requests that are over, to tell a late pull from a poisoned one. */
const rememberedMax = 10_000;

interface Held {
  readonly promptHash: string;
  readonly timer: NodeJS.Timeout;
}

interface PullRequest {
  readonly engineId: string;
  readonly requestId: string;
  readonly promptHash: string;
  readonly compatibility: string;
}

/** Both ends of an engine's KV transfer. */
export interface KvTransfer {
  readonly engineId: string;
  /** Requests whose blocks wait for a decode engine. */
  held(): number;
  expired(): number;
  /** The `kv_transfer_params` of a prefill answer. */
  offer(requestId: string, promptHash: string, tokens: number): Readonly<Record<string, unknown>>;
  pull(params: Readonly<Record<string, unknown>>, promptHash: string): Promise<PullOutcome>;
  /** Rejects when a side-channel port is taken. */
  listen(): Promise<void>;
  close(): void;
}

export function createTransfer(options: EngineOptions, env: NodeJS.ProcessEnv): KvTransfer {
  const engineId = options.kv?.engineId ?? randomUUID();
  const host = env["VLLM_NIXL_SIDE_CHANNEL_HOST"] ?? "localhost";
  const port = Number(env["VLLM_NIXL_SIDE_CHANNEL_PORT"] ?? 5600);
  const leaseMs = (options.kv?.leaseS ?? 0) * 1_000;
  const held = new Map<string, Held>();
  const over = new Map<string, string>();
  const servers: Server[] = [];
  let expired = 0;

  function end(requestId: string): void {
    const entry = held.get(requestId);
    if (!entry) return;
    clearTimeout(entry.timer);
    held.delete(requestId);
    over.set(requestId, entry.promptHash);
    for (const [oldest] of over) {
      if (over.size <= rememberedMax) break;
      over.delete(oldest);
    }
  }

  function offer(requestId: string, promptHash: string, tokens: number) {
    const timer = setTimeout(() => {
      expired += 1;
      end(requestId);
    }, leaseMs);
    timer.unref();
    held.set(requestId, { promptHash, timer });
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
      remote_prefill_cached_tokens: 0,
    };
  }

  function serve(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    createInterface({ input: socket }).on("line", (line) => {
      const request = JSON.parse(line) as PullRequest;
      const known = held.get(request.requestId)?.promptHash ?? over.get(request.requestId);
      const isForeign = known !== undefined && known !== request.promptHash;
      const isHeld =
        held.has(request.requestId) &&
        request.engineId === engineId &&
        request.compatibility === compatibility(options);
      const outcome: PullOutcome = isForeign ? "poisoned" : isHeld ? "pulled" : "load-failure";
      if (outcome === "pulled") end(request.requestId);
      socket.end(`${JSON.stringify({ outcome })}\n`);
    });
  }

  async function listen(): Promise<void> {
    for (let rank = 0; rank < options.dataParallelSize; rank++) {
      const server = createServer(serve);
      servers.push(server);
      await new Promise<void>((resolve, reject) =>
        server.once("error", reject).listen(port + rank, host, resolve),
      );
    }
  }

  return {
    engineId,
    held: () => held.size,
    expired: () => expired,
    offer,
    pull: (params, promptHash) => pull(params, promptHash, options),
    listen,
    close: () => servers.forEach((server) => server.close()),
  };
}

function pull(
  params: Readonly<Record<string, unknown>>,
  promptHash: string,
  options: EngineOptions,
): Promise<PullOutcome> {
  const request = {
    engineId: params["remote_engine_id"],
    requestId: params["remote_request_id"],
    promptHash,
    compatibility: compatibility(options),
  };
  return new Promise((resolve) => {
    const socket = createConnection({
      host: String(params["remote_host"]),
      port: Number(params["remote_port"]),
    });
    const giveUp = () => {
      socket.destroy();
      resolve("load-failure");
    };
    socket.setTimeout(connectTimeoutMs, giveUp);
    socket.on("error", giveUp).on("close", () => resolve("load-failure"));
    createInterface({ input: socket })
      .on("error", giveUp)
      .on("line", (line) => resolve((JSON.parse(line) as { outcome: PullOutcome }).outcome));
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** What must be equal on both sides. vLLM hashes more; these are what a config can get wrong. */
const compatibility = ({ model, dtype, blockSize }: EngineOptions): string =>
  `${model}|${dtype}|${blockSize}`;
