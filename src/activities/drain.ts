import type { ObservedProxy } from "../domain/observed.ts";

/**
 * Requests in flight through the proxies, on one incarnation or on all. Undefined when a proxy that runs did not say: it
 * may hold any number of streams, so that is no end of a drain.
 */
export function requestsLeft(
  proxies: readonly ObservedProxy[],
  incarnation?: string,
): number | undefined {
  const running = proxies.filter(({ state }) => state !== "exited" && state !== "idle");
  if (running.some(({ state }) => state !== "healthy")) return undefined;
  const counts = running.flatMap(({ inFlight = {} }) =>
    incarnation === undefined ? Object.values(inFlight) : [inFlight[incarnation] ?? 0],
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
