/** Connections to one engine that wait for a next request. More are closed as they become idle. */
const perEngineMax = 256;
/** To all engines together. */
const totalMax = 1_024;

/** What waits. The last one that came is the first to go again, so that those that are not needed grow old. */
export function createIdle<Waiting>() {
  const byEngine = new Map<string, Waiting[]>();
  let total = 0;

  return {
    /** False when there are enough of them. */
    put(engine: string, waiting: Waiting): boolean {
      const others = byEngine.get(engine) ?? [];
      if (total >= totalMax || others.length >= perEngineMax) return false;
      if (others.push(waiting) === 1) byEngine.set(engine, others);
      total += 1;
      return true;
    },
    take(engine: string): Waiting | undefined {
      const last = byEngine.get(engine)?.pop();
      if (last) total -= 1;
      return last;
    },
    /** One that is closed, if it is here. */
    remove(engine: string, waiting: Waiting): void {
      const all = byEngine.get(engine);
      if (!all) return;
      const at = all.lastIndexOf(waiting);
      if (at >= 0) {
        all.splice(at, 1);
        total -= 1;
      }
      // Addresses of engines come and go for as long as the proxy lives, and the last one may have been taken.
      if (all.length === 0) byEngine.delete(engine);
    },
    count: (): number => total,
  };
}
