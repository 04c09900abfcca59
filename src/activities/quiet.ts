import { cancellationSignal, sleep } from "@temporalio/activity";
import { lostForMs } from "../plan/condemn.ts";
import type { Agent } from "../ray/agent.ts";

/** Each look is a request to the engine's /metrics. */
const lookEveryMs = 500;

interface Quiet {
  readonly quietS: number;
  /** The job's clock. */
  readonly nowMs: () => number;
  readonly endMs: number;
}

/**
 * Waits until an engine has been without requests for `quietS`, by its own count, and until `endMs` at most: the
 * drain of a replica whose proxy does not say what it has in flight. An engine that does not tell counts as busy, and
 * one that is gone as quiet. Requests that do not end are no failure: only a cluster out of reach is.
 */
export async function untilQuiet(
  agent: Agent,
  name: string,
  { quietS, nowMs, endMs }: Quiet,
): Promise<{ readonly left: number }> {
  let quietSinceMs: number | undefined;
  let lostSinceMs: number | undefined;
  for (;;) {
    const signal = cancellationSignal();
    const { state } = await agent.call("replicaStatus", { name }, { signal });
    lostSinceMs = state === "lost" ? (lostSinceMs ?? nowMs()) : undefined;
    // A node that is busy for a moment may be so with its streams.
    const isSilent = lostSinceMs !== undefined && nowMs() - lostSinceMs < lostForMs;
    if (state !== "healthy" && !isSilent) return { left: 0 };
    const { requests } = await agent.call("engineLoad", { name }, { signal });
    const lookedMs = nowMs();
    quietSinceMs = requests === 0 ? (quietSinceMs ?? lookedMs) : undefined;
    if (quietSinceMs !== undefined && lookedMs - quietSinceMs >= quietS * 1_000) return { left: 0 };
    if (lookedMs > endMs) return { left: requests ?? 1 };
    await sleep(lookEveryMs);
  }
}
