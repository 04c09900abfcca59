import type { Clock } from "../clock.ts";
import { parseName } from "./names.ts";
import type { Ray } from "./ray.ts";

/** agent/pdjob_agent/node/lease.py: calls `lapse` once when nobody renewed it for so long; 0 = never. */
export function startLease(clock: Clock, leaseS: number, lapse: () => void) {
  let seconds = leaseS;
  let renewedAtMs = clock.nowMs();
  let isOver = false;

  function check(): void {
    if (isOver || seconds === 0) return;
    const leftMs = renewedAtMs + seconds * 1_000 - clock.nowMs();
    if (leftMs > 0) return void clock.after(leftMs, check);
    isOver = true;
    lapse();
  }
  check();

  return {
    renew(next: number): void {
      const isOther = seconds !== next;
      seconds = next;
      renewedAtMs = clock.nowMs();
      if (isOther) check();
    },
    end: () => void (isOver = true),
  };
}

/** agent/pdjob_agent/node/orphans.py: a lapse takes along the groups of its job that no actor is in. */
export function removeUnusedGroups(ray: Ray, job: string): void {
  const used = new Set([...ray.actors.keys()].map((name) => parseName(name)?.whole));
  for (const name of ray.groups.keys())
    if (parseName(name)?.job === job && !used.has(name)) ray.removeGroup(name);
}
