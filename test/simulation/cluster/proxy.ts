import type { Membership, ObservedProxy } from "../../../src/domain/observed.ts";
import type { VerbArgs } from "../../../src/ray/verbs.ts";
import type { Cluster } from "./cluster.ts";
import { answers, bootIntervalMs, failuresMax, isAlive, probedState } from "./engine.ts";
import type { Process } from "./engine.ts";
import { removeUnusedGroups, startLease } from "./lease.ts";
import { refusal } from "./refusal.ts";
import type { Actor, Node } from "./ray.ts";
import { createTraffic } from "./traffic.ts";
import type { Traffic } from "./traffic.ts";

const actorStartMs = [100, 900] as const;
const bootMs = [100, 900] as const;
const probe = { intervalMs: 250, timeoutMs: 1_000, failures: failuresMax } as const;
const lapseGraceS = 30;

/** A listening socket, until nobody holds it any more. */
export interface Listener {
  readonly node: Node;
  readonly port: number;
  /** Actors, which alone hand it on, and processes. */
  readonly holders: Set<unknown>;
}

/** The proxy's process: what its clients and its admin socket see. */
export interface ProxyProcess extends Process {
  readonly generation: number;
  readonly listener: Listener;
  membership: Membership;
  /** It takes no more connections. */
  retiredAtMs?: number;
  readonly traffic: Traffic;
}

type Wanted = VerbArgs["ensureProxy"] & { readonly sockets?: readonly Listener[] };

/** The actor that owns one generation of the proxy: agent/pdjob_agent/node/proxy_actor.py, on virtual time. */
export function createProxyActor(
  cluster: Cluster,
  node: Node,
  {
    name,
    generation,
    job,
    leaseS,
  }: { name: string; generation: number; job: string; leaseS: number },
): Actor {
  const { clock, random, ray } = cluster;
  let isReady = false;
  const ready = clock.sleep(random.between(...actorStartMs)).then(() => {
    isReady = true;
  });
  let isGone = false;
  let spec: VerbArgs["ensureProxy"] | undefined;
  let proxy: ProxyProcess | undefined;
  let run = 0;
  let listener: Listener | undefined;
  const self = {};
  /** What the last probe heard. */
  let heard:
    | {
        readonly atMs: number;
        readonly membership: Membership;
        readonly inFlight: Record<string, number>;
        readonly leaving?: number;
      }
    | undefined;
  const lease = startLease(clock, leaseS, () => void lapse());

  function hear(isFresh: boolean): void {
    if (!proxy || !answers(proxy, clock.nowMs())) return;
    if (!isFresh && heard && clock.nowMs() - heard.atMs < probe.intervalMs) return;
    heard = {
      atMs: clock.nowMs(),
      membership: proxy.membership,
      inFlight: proxy.traffic.inFlight(),
      ...(proxy.retiredAtMs === undefined ? {} : { leaving: proxy.traffic.count() }),
    };
  }

  function status(renewS?: number): ObservedProxy {
    if (renewS !== undefined) lease.renew(renewS);
    const state = proxy ? probedState(proxy, clock.nowMs()) : "idle";
    if (state === "healthy") hear(false);
    return {
      name,
      generation,
      state,
      host: node.ip,
      ...(spec ? { port: spec.port, pid: 1, specHash: spec.specHash } : {}),
      ...(run > 1 ? { run } : {}),
      ...(heard && spec?.builtin ? { membership: heard.membership, inFlight: heard.inFlight } : {}),
      ...(heard?.leaving === undefined ? {} : { leaving: heard.leaving }),
      ...(proxy?.exit ? { exit: proxy.exit } : {}),
      ...(state === "exited" || state === "unhealthy" ? { logTail: "its last words" } : {}),
    };
  }

  /** The next process of this actor, on the socket that it has, or was handed on, or can have anew. */
  function start(next: Wanted) {
    if (spec && spec.specHash !== next.specHash)
      return refusal("StaleGeneration", `${name} already runs another command.`);
    if (proxy && (isAlive(proxy) || (next.run ?? 1) <= run)) return status();
    listener ??= next.sockets?.find(({ holders }) => holders.size > 0);
    const holder = cluster.proxies.find(
      ({ listener: { holders, port }, node: on }) =>
        !listener && holders.size > 0 && on === node && port === next.port,
    );
    if (holder)
      return refusal(
        "ProxyNotStarted",
        `port ${next.port} cannot be taken: ${holder.name} has it.`,
      );
    const mine = (listener ??= { node, port: next.port, holders: new Set() });
    mine.holders.add(self);
    run = next.run ?? 1;
    heard = undefined;
    spec = next;
    const process: ProxyProcess = {
      name,
      job,
      node,
      session: ray.session(),
      generation,
      port: next.port,
      startedAtMs: clock.nowMs(),
      servesFromMs: clock.nowMs() + random.between(...bootMs),
      probe,
      listener: mine,
      membership: next.membership ?? { generation: 0, members: [] },
      traffic: createTraffic(cluster, () => process),
      die(code, signal) {
        if (process.exit) return;
        process.exit = { code, signal, atMs: clock.nowMs() };
        mine.holders.delete(process);
        process.traffic.end();
        cluster.emit({ kind: "proxyEnded", process });
      },
    };
    proxy = process;
    mine.holders.add(process);
    cluster.proxies.push(process);
    cluster.emit({ kind: "proxyStarted", process });
    const before = { generation: 0, members: [] };
    cluster.emit({ kind: "membership", process, before, after: process.membership });
    cluster.touchAfter(process.servesFromMs + bootIntervalMs - clock.nowMs());
    return status();
  }

  /** src/proxy/members/membership.ts: an older number, or the same with other members, is refused. */
  function setMembership(next: Membership) {
    if (!proxy) return refusal("ProxyNotStarted", `${name} was not started.`);
    if (proxy.exit) return refusal("ProxyExited", `${name} has ended.`);
    if (!spec?.builtin) return refusal("BadRequest", `${name} is an external proxy.`);
    if (!answers(proxy, clock.nowMs()))
      return refusal("RayUnreachable", `${name} does not answer on its admin socket.`);
    const { membership: before } = proxy;
    const isSame = JSON.stringify(before.members) === JSON.stringify(next.members);
    if (next.generation < before.generation || (next.generation === before.generation && !isSame))
      return refusal(
        "StaleGeneration",
        `${name} refused membership ${next.generation}: it has ${before.generation}.`,
      );
    proxy.membership = next;
    cluster.emit({ kind: "membership", process: proxy, before, after: next });
    hear(true);
    return { acknowledged: next.generation };
  }

  /** src/proxy/server.ts: no more connections; those that are open are served. */
  function retire() {
    if (!proxy || !isAlive(proxy)) return refusal("ProxyExited", `${name} has ended.`);
    if (!answers(proxy, clock.nowMs()))
      return refusal("RayUnreachable", `${name} does not answer on its admin socket.`);
    proxy.retiredAtMs ??= clock.nowMs();
    hear(true);
    return { retired: true };
  }

  async function stop(graceS: number, by: string): Promise<boolean> {
    listener?.holders.delete(self);
    listener = undefined;
    if (!proxy || !isAlive(proxy)) return true;
    cluster.emit({ kind: "proxyAsked", process: proxy, by });
    await clock.sleep(proxy.hungSinceMs === undefined ? random.between(10, 200) : graceS * 1_000);
    proxy.die(null, "SIGTERM");
    return true;
  }

  async function lapse(): Promise<void> {
    await stop(lapseGraceS, "lease");
    if (ray.actors.get(name) === actor) {
      removeUnusedGroups(ray, job);
      ray.kill(name, "lease");
    }
    gone();
  }

  function gone(): void {
    if (isGone) return;
    isGone = true;
    lease.end();
    listener?.holders.delete(self);
    proxy?.die(null, "SIGKILL");
  }

  function perform(method: string, args: readonly unknown[]): unknown {
    if (isGone) return undefined;
    if (method === "status") return status(args[0] as number | undefined);
    if (method === "stop") return stop(args[0] as number, args[1] as string);
    if (method === "start") return start(args[0] as Wanted);
    if (method === "hand_on") return listener ? { socket: listener } : {};
    if (method === "retire") return retire();
    if (method === "set_membership") return setMembership(args[0] as Membership);
    if (method === "read_log") return { text: "its last words", offset: 0, size: 14 };
    throw new Error(`a proxy's actor has no method ${method}`);
  }

  const actor: Actor = {
    name,
    node,
    process: {
      call: (method, args) =>
        isReady ? perform(method, args) : ready.then(() => perform(method, args)),
      end: gone,
    },
  };
  return actor;
}
