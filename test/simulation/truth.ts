import { parseIncarnation, replicaName } from "../../src/domain/names.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { answers, isAlive } from "./cluster/engine.ts";
import type { Process } from "./cluster/engine.ts";
import { parseName } from "./cluster/names.ts";
import type { ProxyProcess } from "./cluster/proxy.ts";
import { wantedIds } from "./job.ts";
import type { Job } from "./job.ts";

/** `prefill-0` of an incarnation's name. */
export function replicaOf(name: string): string {
  const replica = parseName(name)?.replica;
  return replica ? replicaName(replica) : name;
}

/**
 * Nobody can reach it, or Ray does not know it any more and its end is on its way: it was fenced as far as that is
 * possible.
 */
export const isOutOfReach = ({ name, node, session }: Process, { ray }: Cluster): boolean =>
  node.state !== "up" || session !== ray.session() || ray.isKilledUnheard(name, node);

/** Something hit it, or another rank of the same gang: the orchestrator may rightly think that it does not serve. */
export function wasHurt({ engines, proxies }: Cluster, hit: Process): boolean {
  // The next process of the same actor is another one.
  if (proxies.some((proxy) => proxy === hit)) return hit.wasHurt === true;
  const { name } = hit;
  const whole = parseName(name)?.whole;
  return engines.some(
    (process) =>
      parseName(process.name)?.whole === whole &&
      (process.wasHurt === true || (process.name !== name && !isAlive(process))),
  );
}

/** A rank whose rank 0 never began serves nobody. */
export const isWithoutRank0 = ({ engines }: Cluster, { name }: Process): boolean =>
  engines.every((engine) => engine.name !== parseName(name)?.whole);

export const liveEngines = (cluster: Cluster, job: string): readonly Process[] =>
  cluster.engines.filter((engine) => engine.job === job && isAlive(engine));

/** The proxies of a job that clients can reach. */
export const liveProxies = (cluster: Cluster, job: string): readonly ProxyProcess[] =>
  cluster.proxies.filter(
    (proxy) => proxy.job === job && isAlive(proxy) && !isOutOfReach(proxy, cluster),
  );

const generationOf = ({ name }: Process): number => parseIncarnation(name)?.generation ?? 0;

/** Does Ray know anything of a replica or proxy, in whatever generation? */
export const isInTables = ({ ray: { groups, actors } }: Cluster, name: string): boolean =>
  [...groups.keys(), ...actors.keys()].some(
    (known) => parseName(known)?.base === parseName(name)?.base,
  );

/** Everything of a job that still exists anywhere, by name. */
export function leftovers(cluster: Cluster, job: string): readonly string[] {
  const { groups, actors } = cluster.ray;
  const belongs = (name: string): boolean => parseName(name)?.job === job;
  return [
    ...[...groups.keys()].filter(belongs).map((name) => `group ${name}`),
    ...[...actors.keys()].filter(belongs).map((name) => `actor ${name}`),
    ...liveEngines(cluster, job).map(({ name }) => `engine ${name}`),
    ...cluster.proxies
      .filter((proxy) => proxy.job === job && isAlive(proxy))
      .map(({ name }) => `proxy ${name}`),
  ];
}

/** How the truth differs from what is wanted of a running job; empty when it serves exactly that. */
export function shortcomings(cluster: Cluster, job: Job): readonly string[] {
  const { name } = job.spec;
  const nowMs = cluster.clock.nowMs();
  const live = liveEngines(cluster, name);
  const serving = live
    .filter((engine) => rankOf(engine) === 0 && answers(engine, nowMs))
    .filter((engine) => !isOutOfReach(engine, cluster));
  const names = serving.map((engine) => engine.name);
  const groups = [...cluster.ray.groups.values()].filter(
    (group) => parseName(group.name)?.job === name,
  );
  const ranks = groups.flatMap((group) => group.bundles.map(() => group.name));
  const proxies = liveProxies(cluster, name);
  const members = proxies[0]?.membership.members ?? [];
  const retired = serving.filter(
    (engine) => generationOf(engine) <= (job.retired.get(replicaOf(engine.name)) ?? 0),
  );
  const retiredProxies = proxies.filter(
    ({ generation }) => generation <= (job.retired.get("proxy") ?? 0),
  );
  const outdated = serving.filter(({ name: own, revision }) => {
    const role = parseIncarnation(own)?.role;
    return role !== undefined && revision !== job.now.roles[role].revision;
  });
  return [
    ...outdated.map((process) => `${process.name} runs an earlier config`),
    ...[...retired, ...retiredProxies].map((process) => `${process.name} was to be restarted`),
    ...differs("engines", names.map(replicaOf), wantedIds(job).map(replicaName)),
    ...differs(
      "groups",
      groups.map((group) => group.name),
      names,
    ),
    ...differs(
      "processes",
      live.map((engine) => parseName(engine.name)?.whole ?? ""),
      ranks,
    ),
    ...differs(
      "proxies",
      proxies.map((proxy) => String(answers(proxy, nowMs))),
      ["true"],
    ),
    ...differs(
      "members",
      members.map((member) => member.name),
      names,
    ),
  ];
}

const rankOf = ({ name }: Process): number => parseIncarnation(name)?.rank ?? 0;

function differs(
  what: string,
  are: readonly string[],
  wanted: readonly string[],
): readonly string[] {
  const [left, right] = [are.toSorted().join(" "), wanted.toSorted().join(" ")];
  return left === right ? [] : [`${what}: ${left || "none"}, wanted ${right || "none"}`];
}
