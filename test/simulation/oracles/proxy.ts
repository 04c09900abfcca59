import type { Member, Membership } from "../../../src/domain/observed.ts";
import { mayPair } from "../../../src/domain/revision.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { answers, hasServed } from "../cluster/engine.ts";
import type { Process } from "../cluster/engine.ts";
import { parseName } from "../cluster/names.ts";
import type { ProxyProcess } from "../cluster/proxy.ts";
import type { Job } from "../job.ts";
import { isOutOfReach, liveProxies, replicaOf, wasHurt } from "../truth.ts";
import type { World } from "../world.ts";
import type { Oracle } from "./oracle.ts";

/** Deadlines are counted from when the planner saw the change, so they are never early by more than rounding. */
const earlyMs = 50;

/** A worker that takes over from one that has retired a proxy keeps to the deadline that was planned before. */
const retiredLateMs = 5_000;

/** A second proxy runs beside the first to take over from it: one generation newer at least, on the same socket. */
export const oneProxy = ({ cluster }: World): Oracle => ({
  name: "one proxy for each job",
  onEvent(event) {
    if (event.kind !== "proxyStarted") return undefined;
    const { process } = event;
    const other = liveProxies(cluster, process.job).find(
      (proxy) =>
        proxy !== process &&
        (proxy.listener !== process.listener || proxy.generation >= process.generation),
    );
    return other && `${process.name} starts while ${other.name} runs`;
  },
});

/** Clients are refused only when what held the socket was hit by a fault, or was given up. */
export const portIsKept = ({ cluster, jobs }: World): Oracle => ({
  name: "a proxy is stopped only when another one listens",
  onEvent(event) {
    if (event.kind !== "proxyAsked" || event.by === "lease") return undefined;
    const { process } = event;
    const job = jobs.get(process.job);
    if (!job || job.ending !== undefined || job.hasFailed() || wasHurt(cluster, process))
      return undefined;
    if (isOutOfReach(process, cluster)) return undefined;
    const heir = liveProxies(cluster, process.job).find(
      (proxy) => proxy.generation > process.generation && proxy.listener === process.listener,
    );
    return heir ? undefined : `${event.by} stops ${process.name}, and nobody takes over`;
  },
});

/** An old list of members never takes the place of a newer one, and each list has its own number. */
export function membershipForward(): Oracle {
  const newest = new Map<ProxyProcess, Membership>();
  return {
    name: "a membership's generation never goes back",
    onEvent(event) {
      if (event.kind !== "membership") return undefined;
      const { process, after } = event;
      const before = newest.get(process) ?? { generation: 0, members: [] };
      newest.set(process, after);
      const isRepeat =
        after.generation === before.generation && JSON.stringify(before) === JSON.stringify(after);
      return after.generation > before.generation || isRepeat
        ? undefined
        : `${process.name} takes membership ${after.generation} after ${before.generation}`;
    },
  };
}

/** The proxy learns only of engines that have answered, and never of two generations of one replica. */
export const membersReady = ({ cluster }: World): Oracle => ({
  name: "the proxy is told only of ready replicas",
  onEvent(event) {
    if (event.kind !== "membership") return undefined;
    const { process, before, after } = event;
    const replicas = after.members.map(({ name }) => replicaOf(name));
    if (new Set(replicas).size < replicas.length)
      return `${process.name} is told of two generations of a replica: ${replicas.join(" ")}`;
    const added = after.members.filter(
      ({ name }) => !before.members.some((member) => member.name === name),
    );
    const unready = added.find((member) => !hasAnswered(member, cluster));
    return unready && `${process.name} is told of ${unready.name}, which never answered`;
  },
});

/** A request went through it and a partner before the first of a client's does. */
export function membersProven(): Oracle {
  const proven = new Set<string>();
  return {
    name: "no replica is a member that no canary went through",
    onEvent(event) {
      if (event.kind === "canary") {
        for (const { name } of [event.process, event.prefill]) proven.add(name);
        return undefined;
      }
      if (event.kind !== "membership") return undefined;
      const other = event.after.members.find(({ name }) => !proven.has(name));
      return other && `${event.process.name} is told of ${other.name}, which nobody has tried`;
    },
  };
}

/** Engines hand KV to each other only if one config had them both. */
export const noStrangers = ({ cluster, jobs }: World): Oracle => ({
  name: "no proxy may pair two that were never meant to be paired",
  onEvent(event) {
    const job = event.kind === "membership" ? jobs.get(event.process.job) : undefined;
    if (event.kind !== "membership" || !job) return undefined;
    const { members } = event.after;
    // The newest of that name: a job that was stopped and started again counts its generations anew.
    const kindOf = ({ name }: Member) =>
      cluster.engines.findLast((engine) => engine.name === name)?.kvRevision;
    for (const one of members)
      for (const other of members) {
        if (one.role !== "prefill" || other.role !== "decode" || !mayPair(one, other)) continue;
        if (!job.pairs.has(`${kindOf(one)} ${kindOf(other)}`))
          return `${event.process.name} may pair ${one.name} with ${other.name}`;
      }
    return undefined;
  },
});

const hasAnswered = ({ name, url }: Member, { engines, clock }: Cluster): boolean =>
  engines.some(
    (engine) =>
      engine.name === name &&
      url === `http://${engine.node.ip}:${engine.port}` &&
      hasServed(engine, clock.nowMs()),
  );

/** No request goes to an engine after it was told to stop, unless the proxy could not be told first. */
export function nothingToStopped({ cluster, jobs }: World): Oracle {
  const stopped = new Set<string>();
  return {
    name: "a stopped replica gets no new request",
    onStart(job, isGone) {
      for (const name of stopped)
        if (parseName(name)?.job === job && isGone(name)) stopped.delete(name);
    },
    onEvent(event) {
      if (event.kind === "engineAsked" && !wasHurt(cluster, event.process) && event.by !== "lease")
        stopped.add(event.process.name);
      if (event.kind !== "routed" || wasHurt(cluster, event.process)) return undefined;
      const job = jobs.get(event.process.job);
      if (!job || job.hasFailed() || isOutOfReach(event.process, cluster)) return undefined;
      return stopped.has(event.member.name)
        ? `${event.process.name} sends a request to ${event.member.name}, which was stopped`
        : undefined;
    },
  };
}

/** What is taken away on purpose leaves the membership first, and then ends its requests until its deadline. */
export function drainedFirst({ cluster, jobs, clock }: World): Oracle {
  /** When a replica left a membership. */
  const leftAtMs = new Map<string, number>();
  const early = (process: Process, busy: number, seconds: number): string | undefined => {
    const left = leftAtMs.get(process.name) ?? Infinity;
    return busy > 0 && clock.nowMs() < left + seconds * 1_000 - earlyMs
      ? `${process.name} is stopped with ${busy} requests in flight, ${clock.nowMs() - left} ms after it left the membership`
      : undefined;
  };

  function checkEngine(engine: Process, job: Job): string | undefined {
    const proxies = liveProxies(cluster, engine.job).filter(
      (one) => !wasHurt(cluster, one) && answers(one, clock.nowMs()),
    );
    const user = proxies.find(({ membership }) =>
      membership.members.some(({ name }) => name === engine.name),
    );
    if (user) return `${engine.name} is stopped while ${user.name} sends requests to it`;
    const role = replicaOf(engine.name).startsWith("prefill") ? "prefill" : "decode";
    const busy = proxies.reduce((sum, { traffic }) => sum + traffic.countOf(engine.name), 0);
    return early(engine, busy, job.spec.drainS[role]);
  }

  function checkProxy(proxy: ProxyProcess, job: Job): string | undefined {
    const busy = proxy.traffic.count();
    if (job.ending === undefined && proxy.retiredAtMs !== undefined)
      leftAtMs.set(proxy.name, proxy.retiredAtMs - retiredLateMs);
    return early(proxy, busy, Math.max(...Object.values(job.spec.drainS)));
  }

  return {
    name: "a replica is drained before it is stopped",
    onEvent(event) {
      if (event.kind === "membership") {
        const { process, before, after } = event;
        const kept = new Set(after.members.map(({ name }) => name));
        for (const { name } of before.members)
          if (!kept.has(name)) leftAtMs.set(name, clock.nowMs());
        if (after.members.length === 0) leftAtMs.set(process.name, clock.nowMs());
      }
      if (event.kind !== "engineAsked" && event.kind !== "proxyAsked") return undefined;
      const { process } = event;
      const job = jobs.get(process.job);
      const isHealthy = !wasHurt(cluster, process) && answers(process, clock.nowMs());
      if (!job || !isHealthy || event.by === "lease" || job.hasFailed()) return undefined;
      if (isOutOfReach(process, cluster)) return undefined;
      return event.kind === "engineAsked"
        ? checkEngine(event.process, job)
        : checkProxy(event.process, job);
    },
  };
}
