import type { Clock, Timer } from "./clock.ts";

/** A lease must be renewed although nothing changes. */
export const idleMaxMs = 10_000;

/** A wait between two looks at the cluster. */
export interface Pause {
  readonly tickMs: number;
  /** When the look that found nothing new began. */
  readonly lookedAtMs: number;
  /** Look again by then although nothing changed: a deadline is over, for instance. */
  readonly atLatestMs?: number | undefined;
}

/**
 * Lets whoever would look again and see nothing new sleep on, tick by tick, until something was touched: most looks at a
 * quiet job need not be simulated, and it is them that a simulation would spend its time on.
 */
export function createIdling(clock: Clock) {
  let touchedAtMs = clock.nowMs();
  let touches = 0;
  const sleepers = new Set<() => void>();

  function touch(): void {
    touchedAtMs = clock.nowMs();
    touches += 1;
    for (const wake of sleepers) wake();
  }

  return {
    touch,
    touches: () => touches,
    touchAfter: (delayMs: number) => void clock.after(delayMs, touch),
    pause({ tickMs, lookedAtMs, atLatestMs = Infinity }: Pause, event: () => void): Timer {
      // What changed while it looked it may have missed.
      if (touchedAtMs >= lookedAtMs) return clock.after(tickMs, event);
      const sinceMs = clock.nowMs();
      const longestMs = Math.min(idleMaxMs, atLatestMs - sinceMs);
      let timer = clock.after(Math.max(1, Math.ceil(longestMs / tickMs)) * tickMs, () => {
        sleepers.delete(wake);
        event();
      });
      const wake = (): void => {
        sleepers.delete(wake);
        timer.cancel();
        const ticks = Math.floor((clock.nowMs() - sinceMs) / tickMs) + 1;
        timer = clock.after(sinceMs + ticks * tickMs - clock.nowMs(), event);
      };
      sleepers.add(wake);
      return {
        cancel() {
          sleepers.delete(wake);
          timer.cancel();
        },
      };
    },
  };
}
