import { setMaxListeners } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { chunk, fingerprint, generate, sendJson, usageChunk, wholeAnswer } from "./generate.ts";
import type { FinishReason, Generation } from "./generate.ts";
import { createMetrics } from "./metrics.ts";
import type { EngineOptions } from "./options.ts";
import { readRequest } from "./request.ts";
import { hashPrompt } from "./text.ts";
import type { KvTransfer } from "./transfer.ts";

export interface Engine {
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Work that a drain waits for: running requests, and prompts whose KV nobody has fetched yet. */
  pending(): number;
  /** From now on new requests are answered `abort`, as vLLM does while it drains. */
  drain(): void;
  /** Ends every running request with `abort`. */
  abort(): void;
}

interface EngineSetup {
  readonly options: EngineOptions;
  readonly transfer: KvTransfer;
  readonly tokenMs: number;
  /** The engine core died; the process is to end soon. */
  readonly onDead: (why: string) => void;
}

/** The HTTP face of the simulated engine. */
export function createEngine({ options, transfer, tokenMs, onDead }: EngineSetup): Engine {
  const metrics = createMetrics(options.servedModelNames[0] ?? options.model);
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  let draining = false;
  let dead = false;

  const routes: Readonly<
    Record<string, (request: IncomingMessage, response: ServerResponse) => void>
  > = {
    "GET /health": (_, response) => response.writeHead(dead ? 503 : 200).end(),
    "GET /ping": (_, response) => response.writeHead(dead ? 503 : 200).end(),
    "GET /version": (_, response) =>
      sendJson(response, 200, { version: "0.32.0", simulated: true }),
    "GET /metrics": (_, response) =>
      response
        .writeHead(200, { "content-type": "text/plain" })
        .end(metrics.render(transfer.expired())),
    "GET /load": (_, response) => sendJson(response, 200, { server_load: metrics.running() }),
    "GET /v1/models": (_, response) => sendJson(response, 200, modelList(options)),
    "POST /v1/completions": (request, response) => void serve("completion", request, response),
    "POST /v1/chat/completions": (request, response) => void serve("chat", request, response),
  };

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const route = routes[`${request.method} ${path}`];
    if (
      options.apiKey !== undefined &&
      path.startsWith("/v1") &&
      request.headers.authorization !== `Bearer ${options.apiKey}`
    ) {
      return fail(response, 401, "Unauthorized", "AuthenticationError");
    }
    if (route) return route(request, response);
    const isKnown = Object.keys(routes).some((key) => key.endsWith(` ${path}`));
    fail(
      response,
      isKnown ? 405 : 404,
      isKnown ? "Method Not Allowed" : "Not Found",
      "NotFoundError",
    );
  }

  async function serve(
    kind: Generation["kind"],
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const text = await readBody(incoming);
    if (dead)
      return fail(
        response,
        500,
        "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "InternalServerError",
      );
    const request = readRequest(kind, text, options);
    if ("status" in request) return fail(response, request.status, request.message, request.type);
    if (options.requestIdHeaders)
      response.setHeader("x-request-id", String(incoming.headers["x-request-id"] ?? request.id));
    metrics.enter();
    try {
      const isReady = await loadKv(request, response);
      if (isReady)
        await (request.stream ? streamAnswer(request, response) : answer(request, response));
    } finally {
      metrics.leave();
    }
  }

  /** Fetches the prompt's KV from the prefill engine when the request says so. False when it was answered already. */
  async function loadKv(request: Generation, response: ServerResponse): Promise<boolean> {
    metrics.counters.prompt += request.promptTokens;
    if (request.kvParams?.["do_remote_prefill"] !== true) {
      metrics.counters.local += request.promptTokens;
      return true;
    }
    const outcome = await transfer.pull(request.kvParams, hashPrompt(request.prompt));
    if (outcome === "pulled") {
      metrics.counters.external += request.promptTokens;
      metrics.counters.transfers += 1;
      return true;
    }
    metrics.counters.failedTransfers += 1;
    if (outcome === "poisoned") {
      dead = true;
      stopping.abort();
      onDead(
        "AssertionError: num_decode_blocks <= len(prefill_group): kv_transfer_params of another prompt",
      );
      fail(
        response,
        500,
        "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "InternalServerError",
      );
      return false;
    }
    if (options.kv?.onLoadFailure === "recompute") {
      metrics.counters.local += request.promptTokens;
      return true;
    }
    fail(response, 500, "KV load failed", "InternalServerError");
    return false;
  }

  async function answer(request: Generation, response: ServerResponse): Promise<void> {
    const tokens: string[] = [];
    const finish = await run(request, response, (token) => void tokens.push(token));
    const text = tokens.join("");
    const offers =
      request.kvParams?.["do_remote_decode"] === true &&
      finish !== "abort" &&
      options.kv?.role !== "kv_consumer";
    const kv = offers
      ? transfer.offer(`${request.id}-0`, hashPrompt(request.prompt), request.promptTokens)
      : null;
    sendJson(
      response,
      200,
      wholeAnswer(
        request,
        Array.from({ length: request.choices }, () => text),
        finish,
        kv,
      ),
    );
  }

  async function streamAnswer(request: Generation, response: ServerResponse): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    const indexes = Array.from({ length: request.choices }, (_, index) => index);
    let tokens = 0;
    const finish = await run(request, response, (token) => {
      tokens += request.choices;
      response.write(indexes.map((index) => chunk(request, index, token, null)).join(""));
    });
    response.write(indexes.map((index) => chunk(request, index, "", finish)).join(""));
    if (request.includeUsage) response.write(usageChunk(request, tokens));
    response.end("data: [DONE]\n\n");
  }

  async function run(
    request: Generation,
    response: ServerResponse,
    emit: (token: string) => void,
  ): Promise<FinishReason> {
    if (draining) return finished("abort");
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const tokens = generate(
      request,
      options,
      tokenMs,
      AbortSignal.any([gone.signal, stopping.signal]),
    );
    for (;;) {
      const { done, value } = await tokens.next();
      if (done) return finished(value);
      metrics.counters.generation += 1;
      emit(value);
    }
  }

  function finished(reason: FinishReason): FinishReason {
    metrics.counters[reason] += 1;
    return reason;
  }

  return {
    handle,
    pending: () => metrics.running() + transfer.held(),
    drain: () => void (draining = true),
    abort: () => stopping.abort(),
  };
}

function fail(response: ServerResponse, status: number, message: string, type: string): void {
  sendJson(response, status, { error: { message, type, param: null, code: status } });
}

const modelList = ({ servedModelNames, model, maxModelLen }: EngineOptions) => ({
  object: "list",
  data: servedModelNames.map((id) => ({
    id,
    object: "model",
    created: 0,
    owned_by: fingerprint,
    root: model,
    max_model_len: maxModelLen,
  })),
});

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}
