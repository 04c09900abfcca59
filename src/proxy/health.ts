import type { Pool } from "./members/membership.ts";
import { missingRoles } from "./attempt/obtain.ts";

export interface Health {
  readonly status: 200 | 503;
  readonly body: Readonly<Record<string, string>>;
}

/** What `/health` answers: whether requests would be served now, and if not, or not as they should, why. */
export function healthOf(pool: Pool, isStopping: boolean): Health {
  if (isStopping)
    return { status: 503, body: { status: "not ready", reason: "The proxy is stopping." } };
  if (pool.hasPair()) return { status: 200, body: { status: "ok" } };
  const reason = missingRoles(pool);
  if (!pool.isDegraded()) return { status: 503, body: { status: "not ready", reason } };
  const degraded = pool.selection.withoutPrefill;
  return { status: 200, body: { status: "degraded", degraded, reason } };
}
