import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Member } from "../../src/domain/observed.ts";
import type { RelayHandOver } from "../../src/proxy/body.ts";
import { createLegs } from "../../src/proxy/legs.ts";
import { createPool } from "../../src/proxy/membership.ts";
import { createProxyMetrics } from "../../src/proxy/metrics.ts";
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
  close(): void;
}

type Answer = (request: SeenRequest, response: ServerResponse) => void;

/** An engine that answers as the test says. */
export async function fakeEngine(
  name: string,
  role: Member["role"],
  answer: Answer,
): Promise<FakeEngine> {
  const seen: SeenRequest[] = [];
  let onAbort: () => void;
  const aborted = new Promise<void>((resolve) => (onAbort = resolve));
  const server = createServer((incoming, response) => {
    response.on("close", () => response.writableFinished || onAbort());
    void readJson(incoming).then((body) => {
      const request = { path: incoming.url ?? "", headers: incoming.headers, body };
      seen.push(request);
      answer(request, response);
    });
  });
  const url = await listen(server);
  return { member: { name, role, url }, seen, aborted, close: () => server.closeAllConnections() };
}

/** The real proxy's server in this process. */
export async function startProxy(
  engines: readonly FakeEngine[],
  handOver: RelayHandOver = "params",
) {
  const pool = createPool();
  const logs: string[] = [];
  const legs = createLegs();
  const metrics = createProxyMetrics(pool);
  const log = (text: string) => void logs.push(text);
  const server = createProxyServer({ pool, legs, metrics, handOver, log });
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

async function readJson(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString() || "{}") as Record<string, unknown>;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
