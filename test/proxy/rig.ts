import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import type { ProxyKeys } from "../../src/domain/exposure.ts";
import type { Member } from "../../src/domain/observed.ts";
import type { Keys } from "../../src/proxy/admission/auth.ts";
import type { RelayHandOver } from "../../src/proxy/bytes/body.ts";
import { createLegs, defaultLimits } from "../../src/proxy/attempt/legs.ts";
import type { LegLimits } from "../../src/proxy/attempt/legs.ts";
import { defaultServerLimits } from "../../src/proxy/admission/limits.ts";
import type { ServerLimits } from "../../src/proxy/admission/limits.ts";
import { createPool } from "../../src/proxy/members/membership.ts";
import { createProxyMetrics } from "../../src/proxy/metrics.ts";
import { defaultSelection } from "../../src/proxy/selection/selection.ts";
import type { Selection } from "../../src/proxy/selection/selection.ts";
import { createProxyServer } from "../../src/proxy/server.ts";

export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Record<string, unknown>;
}

export interface FakeEngine {
  readonly member: Member;
  readonly seen: SeenRequest[];
  /** Resolves when a client left before its answer ended. */
  readonly aborted: Promise<void>;
  /** Answers 503 to /health from now on, as vLLM does when its engine core has ended. */
  die(): void;
  /** Refuses connections from now on. */
  close(): void;
}

export type Answer = (request: SeenRequest, response: ServerResponse) => void;

/** An engine that answers as the test says. */
export async function fakeEngine(
  name: string,
  role: Member["role"],
  answer: Answer,
): Promise<FakeEngine> {
  const seen: SeenRequest[] = [];
  let onAbort: () => void;
  const aborted = new Promise<void>((resolve) => (onAbort = resolve));
  let health = 200;
  const server = createServer((incoming, response) => {
    if (incoming.url === "/health") return void response.writeHead(health).end();
    response.on("close", () => response.writableFinished || onAbort());
    void readJson(incoming).then((body) => {
      const asked = { path: incoming.url ?? "", headers: incoming.headers, body };
      seen.push(asked);
      answer(asked, response);
    });
  });
  const url = await listen(server);
  return {
    member: { name, role, url },
    seen,
    aborted,
    die: () => void (health = 503),
    close: () => (server.close(), server.closeAllConnections()),
  };
}

/** The real proxy's server in this process. */
export async function startProxy(
  engines: readonly FakeEngine[],
  {
    handOver = "params",
    legs: legLimits,
    server: limits,
    keys,
    engineKeys,
    selection,
  }: {
    readonly handOver?: RelayHandOver;
    readonly legs?: Partial<LegLimits>;
    readonly server?: Partial<ServerLimits>;
    readonly keys?: Keys;
    readonly engineKeys?: ProxyKeys["engines"];
    readonly selection?: Partial<Selection>;
  } = {},
) {
  const pool = createPool({ selection: { ...defaultSelection, ...selection } });
  const logs: string[] = [];
  const legs = createLegs({ ...defaultLimits, ...legLimits }, engineKeys);
  const metrics = createProxyMetrics(pool);
  const log = (text: string) => void logs.push(text);
  const setup = { pool, legs, metrics, handOver, log };
  const { server, stop } = createProxyServer({
    ...setup,
    keys,
    // Whoever finds nobody is told so at once, unless a test is about waiting.
    limits: { ...defaultServerLimits, waiting: { countMax: 0, waitMs: 0 }, ...limits },
  });
  const url = await listen(server);
  let generation = 0;
  const point = (members: readonly FakeEngine[]) =>
    pool.replace({ generation: ++generation, members: members.map(({ member }) => member) });
  point(engines);
  return {
    url,
    pool,
    logs,
    metrics,
    point,
    /** Of clients, now. */
    connections: () =>
      new Promise<number>((resolve) =>
        server.getConnections((_error, count) => resolve(count ?? 0)),
      ),
    shutDown: stop,
    stop: () => (server.closeAllConnections(), server.close(), legs.close()),
  };
}

/** A prefill engine that hands over what it is told, and a decode engine that echoes its request. */
export const prefillAnswer =
  (kv: unknown = { remote_request_id: "r1" }): Answer =>
  (_request, response) =>
    json(response, 200, {
      choices: [{ finish_reason: "length", text: "x" }],
      kv_transfer_params: kv,
    });

export const echoAnswer: Answer = ({ body }, response) =>
  json(response, 200, { choices: [{ finish_reason: "stop", text: "echo" }], body });

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Starts engines and a proxy for one test; `stop` ends them all. */
export function createScene() {
  const stops: (() => void)[] = [];

  async function engine(name: string, role: Member["role"], answer: Answer): Promise<FakeEngine> {
    const one = await fakeEngine(name, role, answer);
    stops.push(one.close);
    return one;
  }

  async function pair(
    prefill: Answer = prefillAnswer(),
    decode: Answer = echoAnswer,
    options: Parameters<typeof startProxy>[1] = {},
  ) {
    const p = await engine("p0", "prefill", prefill);
    const d = await engine("d0", "decode", decode);
    const proxy = await startProxy([p, d], options);
    stops.push(proxy.stop);
    return { p, d, proxy };
  }

  return { engine, pair, stop: () => stops.splice(0).forEach((stop) => stop()) };
}

export const post = async (
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
  path = "/v1/completions",
) => {
  const answer = await request(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
};

export const messageOf = ({ text }: { readonly text: string }): string =>
  (JSON.parse(text) as { error: { message: string } }).error.message;

export async function metricsOf(url: string): Promise<string> {
  return (await request(`${url}/metrics`)).body.text();
}

export function sse(response: ServerResponse, ...events: readonly string[]): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) response.write(event);
}

export const event = (text: string, finish: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, text, finish_reason: finish }] })}\n\n`;

async function readJson(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString() || "{}") as Record<string, unknown>;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
