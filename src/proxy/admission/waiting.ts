import type { Gone } from "../answer/gone.ts";
import type { WaitingLimits } from "./limits.ts";
import type { Pool } from "../members/membership.ts";
import type { ProxyMetrics } from "../metrics.ts";

/*
 * A replica is replaced within seconds to minutes, and a client that is refused meanwhile has to ask again: so a request that
 * finds no pair waits for one, for a bounded time and among a bounded number. All that wait try again whenever the members have
 * changed, in the order in which they came; who finds none again goes on waiting, in that order.
 */

/**
 * How a wait ended. ready = the members changed: try again · late = the request has waited for all its time · full = too many
 * others wait already · closed = nobody comes any more: this proxy or the job stops, or another has taken over · gone = the client left.
 */
export type WaitEnd = "ready" | "late" | "full" | "closed" | "gone";

export interface Waiting {
  /** The waits of one request, which share their time: each call is one wait. */
  forRequest(gone: Gone): () => Promise<WaitEnd>;
  /** Whoever waits is let go, and nobody waits from now on. */
  close(): void;
}

/** Why a request is not to wait; undefined when it is. */
export function whyNotWait(
  { countMax }: WaitingLimits,
  { count, leftMs, isClosed }: { count: number; leftMs: number; isClosed: boolean },
): Exclude<WaitEnd, "ready" | "gone"> | undefined {
  if (isClosed) return "closed";
  if (leftMs <= 0) return "late";
  return count >= countMax ? "full" : undefined;
}

export function createWaiting(
  limits: WaitingLimits,
  { pool, metrics }: { readonly pool: Pool; readonly metrics: ProxyMetrics },
): Waiting {
  const waiters = new Set<(end: WaitEnd) => void>();
  let isClosed = false;

  function letGo(end: WaitEnd): void {
    for (const leave of waiters) leave(end);
  }

  function wait(gone: Gone, leftMs: number): Promise<WaitEnd> {
    return new Promise((resolve) => {
      const leave = (end: WaitEnd): void => {
        waiters.delete(leave);
        clearTimeout(timer);
        gone.off(leaveGone);
        resolve(end);
      };
      const leaveGone = (): void => leave("gone");
      const timer = setTimeout(() => leave("late"), leftMs);
      gone.onEnd(leaveGone);
      waiters.add(leave);
    });
  }

  pool.onChange(() => letGo("ready"));
  metrics.watchWaiting(() => waiters.size);

  return {
    forRequest(gone) {
      let untilMs: number | undefined;
      return async () => {
        if (gone.reason) return "gone";
        const startedMs = performance.now();
        untilMs ??= startedMs + limits.waitMs;
        const leftMs = untilMs - startedMs;
        const state = {
          count: waiters.size,
          leftMs,
          isClosed: isClosed || pool.isClosing(),
        };
        const end = whyNotWait(limits, state) ?? (await wait(gone, leftMs));
        metrics.waited(end, (performance.now() - startedMs) / 1_000);
        return end;
      };
    },
    close() {
      isClosed = true;
      letGo("closed");
    },
  };
}
