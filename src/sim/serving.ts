import type { ServerResponse } from "node:http";
import {
  chunk,
  done,
  failedStream,
  openingChunk,
  sendError,
  sendJson,
  usageChunk,
  wholeAnswer,
} from "./answers.ts";
import type { Choice } from "./answers.ts";
import type { Generation } from "./generate.ts";
import type { Kv } from "./kv.ts";
import { createLoading } from "./loading.ts";
import { createRunning } from "./running.ts";
import type { RunningSetup } from "./running.ts";

export interface ServingSetup extends RunningSetup {
  readonly kv: Kv;
  /** A request has killed the engine. */
  readonly onPoison: (why: string) => void;
}

const deadMessage = "EngineCore encountered an issue. See stack trace (above) for the root cause.";

/** Answers validated requests: the prompts' KV first, then the tokens. */
export function createServing(setup: ServingSetup) {
  const { kv, metrics, phase, awake, onPoison } = setup;
  const loadAll = createLoading(setup);
  const run = createRunning(setup);

  return async function serve(request: Generation, response: ServerResponse): Promise<void> {
    if (phase() === "dead") return sendFailure(response, deadMessage);
    if (phase() === "draining") return turnAway(request, response);
    // A stream's status leaves before anything is known of how it goes.
    if (request.stream) startStream(response);
    // What a frozen core has not heard of, it does not count.
    await awake();
    metrics.enter();
    try {
      const loaded = await loadAll(request);
      if (loaded.kind === "poisoned") onPoison(loaded.why);
      if (loaded.kind !== "ready")
        return fail(request, response, loaded.kind === "failed" ? failedLoad : deadMessage);
      const all = { request, heardAs: loaded.heardAs, response };
      await (request.stream ? streamAnswer(all) : answer(all));
    } finally {
      metrics.leave();
    }
  };

  async function answer(all: Parameters<typeof run>[0]): Promise<void> {
    const { request, response } = all;
    const texts = new Map<number, Choice>();
    let tokens = 0;
    const end = await run(all, (index, { token, finish, stopReason }) => {
      tokens += 1;
      const text = (texts.get(index)?.text ?? "") + token;
      texts.set(index, { text, finish: finish ?? "length", stopReason });
    });
    if (end === "gone") return;
    if (end === "dead") return sendFailure(response, deadMessage);
    const choices = [...texts].toSorted(([a], [b]) => a - b).map(([, choice]) => choice);
    sendJson(response, 200, wholeAnswer(request, choices, tokens, offer(request)));
  }

  async function streamAnswer(all: Parameters<typeof run>[0]): Promise<void> {
    const { request, response } = all;
    const count = request.prompts.length * request.choices;
    let tokens = 0;
    if (request.kind === "chat")
      for (let index = 0; index < count; index++) response.write(openingChunk(request, index));
    const end = await run(all, (index, piece) => {
      tokens += 1;
      const isSigned = piece.finish !== null && !request.usageAtEnd;
      response.write(chunk(request, piece, { index, completionTokens: tokens, isSigned }));
    });
    if (end === "gone") return;
    if (end === "dead") return void response.end(failedStream(deadMessage));
    // The blocks are kept all the same, but a stream does not say where.
    offer(request);
    if (request.usageAtEnd) response.write(usageChunk(request, tokens));
    response.end(done);
  }

  function offer(request: Generation): unknown {
    return kv.offer(request, request.kind === "chat" ? request.id : `${request.id}-0`);
  }
}

const failedLoad = "Internal server error";
const aborted = { finish: "abort", stopReason: null } as const;

/** A text would need the tokenizer, which is gone by then; token ids come as far as the engine, which aborts them. */
function turnAway(request: Generation, response: ServerResponse): void {
  if (!request.prompts.every(({ isIds }) => isIds))
    return sendFailure(response, "cannot schedule new futures after shutdown");
  if (!request.stream) {
    const choices = request.prompts.map(() => ({ text: "", ...aborted }));
    return sendJson(response, 200, wholeAnswer(request, choices, 0, null));
  }
  startStream(response);
  const piece = { token: "", ...aborted };
  response.write(chunk(request, piece, { index: 0, completionTokens: 0, isSigned: true }));
  response.end(done);
}

function startStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" }).flushHeaders();
}

function fail({ stream }: Generation, response: ServerResponse, message: string): void {
  if (stream) response.end(failedStream(message));
  else sendFailure(response, message);
}

function sendFailure(response: ServerResponse, message: string): void {
  sendError(response, { status: 500, message, type: "InternalServerError", param: null });
}
