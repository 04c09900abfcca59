import type { Clock, Timer } from "./clock.ts";

/** After a change, everything is polled as it is in truth for this long: longer than any poll takes. */
const busyForMs = 5_000;
/** A lease must be renewed although nothing changes. */
export const idleMaxMs = 10_000;

/**
 * Lets a poll that would see nothing new sleep on, tick by tick, until something was touched: most polls of a quiet
 * job need not be simulated, and it is them that a simulation would spend its time on.
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
    pause(tickMs: number, event: () => void): Timer {
      if (clock.nowMs() - touchedAtMs < busyForMs) return clock.after(tickMs, event);
      const sinceMs = clock.nowMs();
      let timer = clock.after(Math.ceil(idleMaxMs / tickMs) * tickMs, () => {
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
