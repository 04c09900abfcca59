import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Member, Membership } from "../domain/observed.ts";
import { parseBody } from "./body.ts";
import type { Pool } from "./membership.ts";
import type { ProxyMetrics } from "./metrics.ts";

export interface AdminSetup {
  readonly pool: Pool;
  readonly metrics: ProxyMetrics;
  readonly log: (text: string) => void;
}

/** The orchestrator's side, on a Unix socket: `GET /status`, `PUT /membership`. */
export function createAdminServer({ pool, metrics, log }: AdminSetup): Server {
  const status = () => ({
    ...pool.current(),
    inFlight: pool.inFlight(),
    ready: pool.hasPair(),
    totals: metrics.totals(),
  });

  async function putMembership(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const next = readMembership(Buffer.concat(parts).toString("utf8"));
    if (!next)
      return answer(response, 400, {
        error: "expected {generation: integer, members: [{name, role, url}]}",
      });
    if (pool.replace(next) === "stale") return answer(response, 409, status());
    log(
      `membership ${next.generation}: ${next.members.map(({ name, url }) => `${name} ${url}`).join(", ") || "nobody"}`,
    );
    answer(response, 200, status());
  }

  return createServer((incoming, response) => {
    const route = `${incoming.method} ${incoming.url}`;
    if (route === "GET /status") return answer(response, 200, status());
    if (route === "PUT /membership")
      return void putMembership(incoming, response).catch(() => response.destroy());
    answer(response, 404, { error: `${route} is not served here` });
  });
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

export function readMembership(text: string): Membership | undefined {
  const body = parseBody(text);
  const generation = body?.["generation"];
  const members = body?.["members"];
  if (typeof generation !== "number" || !Number.isInteger(generation) || !Array.isArray(members))
    return undefined;
  return members.every(isMember) ? { generation, members: members.map(known) } : undefined;
}

const known = ({ name, role, url, pairings }: Member): Member => ({
  name,
  role,
  url,
  ...(pairings ? { pairings } : {}),
});

function isMember(value: unknown): value is Member {
  if (typeof value !== "object" || value === null) return false;
  const { name, role, url, pairings = [] } = value as Record<string, unknown>;
  return (
    Array.isArray(pairings) &&
    pairings.every(Number.isInteger) &&
    typeof name === "string" &&
    (role === "prefill" || role === "decode") &&
    typeof url === "string" &&
    URL.canParse(url)
  );
}
