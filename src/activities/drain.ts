import { cancellationSignal, sleep } from "@temporalio/activity";
import type { Agent } from "../ray/agent.ts";
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

const pollEveryMs = 200;

interface Drain {
  readonly job: string;
  readonly incarnation?: string;
  /** The job's clock. */
  readonly nowMs: () => number;
  readonly endMs: number;
}

/**
 * Waits for the requests in flight through the job's proxies, on one incarnation or on all, until `endMs` at most.
 * `left` is absent when a proxy did not say. Requests that do not end are no failure: only a cluster out of reach is.
 */
export async function untilDrained(
  agent: Agent,
  { job, incarnation, nowMs, endMs }: Drain,
): Promise<{ readonly left?: number }> {
  for (;;) {
    const { proxies } = await agent.call("list", { job }, { signal: cancellationSignal() });
    const left = requestsLeft(proxies, incarnation);
    if (left === 0 || nowMs() > endMs) return left === undefined ? {} : { left };
    await sleep(pollEveryMs);
  }
}

interface Leaving {
  readonly job: string;
  readonly name: string;
  /** The job's clock. */
  readonly nowMs: () => number;
  readonly endMs: number;
  /** Its clients have as long from when it takes no more, which may come late. */
  readonly longestMs: number;
}

/**
 * A proxy that was replaced takes no more connections and serves those that it has: waits until they are gone, until
 * `endMs` at most. One that cannot be asked, hung or gone, is not waited for.
 */
export async function untilLeft(
  agent: Agent,
  { job, name, nowMs, endMs, longestMs }: Leaving,
): Promise<{ readonly left?: number }> {
  let untilMs = endMs;
  for (;;) {
    const { proxies } = await agent.call("list", { job }, { signal: cancellationSignal() });
    const proxy = proxies.find((one) => one.name === name);
    if (proxy?.state !== "healthy") return {};
    const left = proxy.leaving;
    if (left === 0 || (left !== undefined && nowMs() > untilMs)) return { left };
    if (left === undefined) {
      await tellAsSuccessor(agent, proxy, proxies);
      await agent.call("retireProxy", { name });
      untilMs = nowMs() + longestMs;
    }
    await sleep(pollEveryMs);
  }
}

/**
 * Requests that wait there for a pair, or come on its open connections, find the members that its successor has. After that
 * it is told of replicas that leave alone; when it cannot be told, it goes on with those that it knew.
 */
async function tellAsSuccessor(
  agent: Agent,
  { name, generation, membership: known }: ObservedProxy,
  proxies: readonly ObservedProxy[],
): Promise<void> {
  const successor = proxies.find((one) => one.generation > generation && one.state === "healthy");
  const membership = successor?.membership;
  if (!membership || membership.generation <= (known?.generation ?? 0)) return;
  await agent.call("setMembership", { name, membership }).catch(() => undefined);
}
