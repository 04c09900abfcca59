import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { sendError, sendJson } from "./answers.ts";
import { untilAwake } from "./core.ts";
import type { Core } from "./core.ts";
import type { Generation } from "./generate.ts";
import { createKv } from "./kv.ts";
import type { Kv } from "./kv.ts";
import { createMetrics } from "./metrics.ts";
import type { EngineOptions } from "./options.ts";
import { isProblem } from "./problem.ts";
import { readRequest } from "./request.ts";
import type { Phase } from "./running.ts";
import { createServing } from "./serving.ts";
import { simulatedVersion as version } from "./version.ts";

export interface Engine {
  readonly kv: Kv;
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Work that a drain waits for: running requests, and prompts whose KV nobody has fetched yet. */
  pending(): number;
  become(phase: Phase): void;
}

interface EngineSetup {
  readonly options: EngineOptions;
  readonly env: NodeJS.ProcessEnv;
  readonly tokenMs: number;
  readonly core: Core | undefined;
  /** The engine core died of a request; the server is to end soon. */
  readonly onDead: (why: string) => void;
}

type Route = (request: IncomingMessage, response: ServerResponse) => void;

/** The HTTP face of the simulated engine. */
export function createEngine({ options, env, tokenMs, core, onDead }: EngineSetup): Engine {
  const kv = createKv(options, env);
  const { transfer } = kv;
  const model = options.servedModelNames[0] ?? options.model;
  const metrics = createMetrics(model, transfer !== undefined);
  const startedS = Math.floor(Date.now() / 1_000);
  let phase: Phase = "serving";
  const onPoison = (why: string): void => {
    phase = "dead";
    onDead(why);
  };
  const awake = (): Promise<void> => untilAwake(core, () => phase);
  const how = { options, kv, metrics, tokenMs, phase: () => phase, awake, onPoison };
  const serve = createServing(how);

  const alive: Route = (_, response) =>
    response.writeHead(phase === "dead" ? 503 : 200, { "content-length": 0 }).end();
  const complete =
    (kind: Generation["kind"]): Route =>
    (request, response) =>
      void completeFor(kind, request, response);
  const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    "/health": { GET: alive },
    "/ping": { GET: alive, POST: alive },
    "/version": { GET: (_, response) => sendJson(response, 200, { version, simulated: true }) },
    "/metrics": { GET: (_, response) => sendMetrics(response) },
    "/load": { GET: (_, response) => sendJson(response, 200, { server_load: 0 }) },
    "/v1/models": { GET: (_, response) => sendJson(response, 200, modelList(options, startedS)) },
    "/v1/completions": { POST: complete("completion") },
    "/v1/chat/completions": { POST: complete("chat") },
  };

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    if (options.requestIdHeaders) {
      const own = randomUUID().replaceAll("-", "");
      response.setHeader("x-request-id", request.headers["x-request-id"] ?? own);
    }
    if (path.startsWith("/v1") && !isAllowed(request))
      return sendJson(response, 401, { error: "Unauthorized" });
    const methods = routes[path];
    if (!methods) return sendJson(response, 404, { detail: "Not Found" });
    const route = methods[request.method ?? ""];
    if (route) return route(request, response);
    response.setHeader("allow", Object.keys(methods).join(", "));
    sendJson(response, 405, { detail: "Method Not Allowed" });
  }

  const isAllowed = ({ headers }: IncomingMessage): boolean =>
    options.apiKeys.length === 0 ||
    options.apiKeys.some((key) => headers.authorization === `Bearer ${key}`);

  function sendMetrics(response: ServerResponse): void {
    const counts = { expired: transfer?.expired() ?? 0, late: transfer?.late() ?? 0 };
    response
      .writeHead(200, { "content-type": "text/plain; version=1.0.0; charset=utf-8" })
      .end(metrics.render(counts));
  }

  async function completeFor(
    kind: Generation["kind"],
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const text = await readBody(incoming);
    const { "x-request-id": requestId, "content-type": contentType = "" } = incoming.headers;
    const call = { kind, text, contentType };
    const request = readRequest(
      typeof requestId === "string" ? { ...call, requestId } : call,
      options,
    );
    if (isProblem(request)) return sendError(response, request);
    await serve(request, response);
  }

  return {
    kv,
    handle,
    pending: () => metrics.running() + (transfer?.held() ?? 0),
    become: (next) => void (phase = next),
  };
}

const modelList = ({ servedModelNames, model, maxModelLen }: EngineOptions, created: number) => ({
  object: "list",
  data: servedModelNames.map((id) => ({
    id,
    object: "model",
    created,
    owned_by: "vllm",
    root: model,
    parent: null,
    max_model_len: maxModelLen,
    permission: [],
  })),
});

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}
