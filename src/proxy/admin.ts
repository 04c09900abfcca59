import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Member, Membership } from "../domain/observed.ts";
import { readBody } from "./admission/intake.ts";
import { parseBody } from "./bytes/body.ts";
import { defaultServerLimits } from "./admission/limits.ts";
import type { Pool } from "./members/membership.ts";
import type { ProxyMetrics } from "./metrics.ts";
import type { ProxyServer } from "./server.ts";

/** Thousands of members; a larger body is none of ours. */
const membershipBytesMax = 1024 * 1024;

export interface AdminSetup {
  readonly pool: Pool;
  readonly metrics: ProxyMetrics;
  readonly clients: Pick<ProxyServer, "retire" | "leaving">;
  /** There are members: clients may come. Done when they can. */
  readonly open: () => Promise<void>;
  readonly log: (text: string) => void;
}

/** The orchestrator's side, on a Unix socket: `GET /status`, `PUT /membership`, `PUT /retired`. */
export function createAdminServer({ pool, metrics, clients, open, log }: AdminSetup): Server {
  const status = () => ({
    ...pool.current(),
    inFlight: pool.inFlight(),
    ready: pool.hasPair(),
    ...(pool.isDegraded() ? { degraded: pool.selection.withoutPrefill } : {}),
    totals: metrics.totals(),
    leaving: clients.leaving(),
  });

  async function putMembership(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await readBody(incoming, {
      bytesMax: membershipBytesMax,
      pace: defaultServerLimits.pace,
    });
    if (text === "large")
      return answer(response, 413, { error: `more than ${membershipBytesMax} bytes` });
    if (typeof text === "string") return void response.destroy();
    const next = readMembership(text.toString("utf8"));
    if (!next)
      return answer(response, 400, {
        error: "expected {generation: integer, members: [{name, role, url}], closing?: true}",
      });
    if (pool.replace(next) === "stale") return answer(response, 409, status());
    log(
      `membership ${next.generation}: ${next.members.map(({ name, url }) => `${name} ${url}`).join(", ") || "nobody"}${next.closing ? ", and nobody to come: the job stops" : ""}`,
    );
    await open();
    answer(response, 200, status());
  }

  function retire(response: ServerResponse): void {
    log("retired: no new connections, those that are open are served");
    clients.retire();
    answer(response, 200, status());
  }

  return createServer((incoming, response) => {
    const route = `${incoming.method} ${incoming.url}`;
    if (route === "GET /status") return answer(response, 200, status());
    if (route === "PUT /membership")
      return void putMembership(incoming, response).catch(() => response.destroy());
    if (route === "PUT /retired") return retire(response);
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
  if (!members.every(isMember)) return undefined;
  const closing = body?.["closing"] === true ? ({ closing: true } as const) : {};
  return { generation, members: members.map(known), ...closing };
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
