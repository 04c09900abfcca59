import type { ActionInput } from "../../../src/domain/action.ts";
import { incarnationName, parseIncarnation } from "../../../src/domain/names.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { answers } from "../cluster/engine.ts";
import type { Process } from "../cluster/engine.ts";
import { parseName } from "../cluster/names.ts";
import type { Task } from "../temporal/activities.ts";
import { isOutOfReach, isWithoutRank0, liveEngines, replicaOf, wasHurt } from "../truth.ts";
import { idleMaxMs } from "../idle.ts";
import type { World } from "../world.ts";
import type { Oracle } from "./oracle.ts";

/** After a replica became unwanted it may take this long, beyond its drain, until it is stopped. */
const stopLateMs = 180_000;

/** From a canary's failure until the one that is blamed for it is stopped. */
const canaryLateMs = 30_000;

/** A lease was renewed at most this long before its job was looked at last: looks that would see nothing new are left out. */
const renewalMs = idleMaxMs + 2_000;

/** Two engines of one replica never run side by side where both can be reached. */
export const oneEngine = ({ cluster }: World): Oracle => ({
  name: "one engine for each replica",
  onEvent(event) {
    if (event.kind !== "engineStarted") return undefined;
    const { process } = event;
    const other = liveEngines(cluster, process.job).find(
      (engine) =>
        engine !== process &&
        parseName(engine.name)?.base === parseName(process.name)?.base &&
        !areRanks(engine.name, process.name) &&
        !isOutOfReach(engine, cluster),
    );
    return other && `${process.name} starts while ${other.name} runs`;
  },
});

/** Two ranks of one gang are parts of one engine. */
const areRanks = (one: string, other: string): boolean =>
  one !== other && parseName(one)?.whole === parseName(other)?.whole;

/**
 * A generation is started once, and only upwards. Only its own start, while it is still being tried, may find that the
 * actor of an earlier try is gone, and make another of that name; and so may a job that was started anew.
 */
export function freshGenerations(): Oracle {
  /** By replica or rank: its newest generation, and what had it started. */
  const newest = new Map<string, { readonly generation: number; readonly by: Task | undefined }>();
  const starting = new Map<string, Task>();
  return {
    name: "generations are never reused",
    onStart(job, isGone) {
      for (const [name, { generation }] of newest) {
        if (parseName(name)?.job !== job) continue;
        if (isGone(name)) newest.delete(name);
        else newest.set(name, { generation: generation - 1, by: undefined });
      }
    },
    onTask(task, change) {
      const { spec, action } = task.input as Partial<ActionInput<"startPrefill" | "startDecode">>;
      if (!spec || !action || !action.kind.startsWith("start")) return undefined;
      const name = incarnationName(spec.name, action.replica, action.generation);
      if (change === "opened") starting.set(name, task);
      else starting.delete(name);
      return undefined;
    },
    onEvent(event) {
      if (event.kind !== "engineStarted") return undefined;
      const { name } = event.process;
      const { generation = 0 } = parseIncarnation(name) ?? {};
      const key = name.replace(/-g\d+/, "-g1");
      const before = newest.get(key) ?? { generation: 0, by: undefined };
      const by = starting.get(parseName(name)?.whole ?? "");
      if (generation >= before.generation) newest.set(key, { generation, by });
      const isTriedAgain = by !== undefined && by === before.by;
      const isFresh =
        generation > before.generation || (generation === before.generation && isTriedAgain);
      return isFresh ? undefined : `${name} starts after generation ${before.generation}`;
    },
  };
}

/** Whoever still talks to an old generation must not reach a new one. */
export function freshPorts(): Oracle {
  const owners = new Map<string, string>();
  return {
    name: "ports are never reused",
    onEvent(event) {
      if (event.kind !== "engineStarted") return undefined;
      for (const port of event.ports) {
        const address = `${event.process.node.ip}:${port}`;
        const owner = owners.get(address);
        if (owner !== undefined)
          return `${event.process.name} takes ${address}, which was ${owner}'s`;
        owners.set(address, event.process.name);
      }
      return undefined;
    },
  };
}

/** When KV does not come through, a newcomer is blamed rather than its partner that serves. */
const mayHaveFailedCanary = ({ engines }: Cluster, { job }: Process, nowMs: number): boolean =>
  engines.some(
    ({ job: other, kvCutUntilMs = -Infinity }) =>
      other === job && nowMs < kvCutUntilMs + canaryLateMs,
  );

/** A healthy engine is stopped only when its users no longer want it. */
export const onlyUnwanted = ({ cluster, jobs, clock }: World): Oracle => ({
  name: "a healthy replica that is wanted is left alone",
  onEvent(event) {
    if (event.kind !== "engineAsked" || event.by === "lease") return undefined;
    const { process, by } = event;
    const job = jobs.get(process.job);
    if (!job || wasHurt(cluster, process) || !answers(process, clock.nowMs())) return undefined;
    if (isOutOfReach(process, cluster) || job.hasFailed()) return undefined;
    if (isWithoutRank0(cluster, process)) return undefined;
    if (mayHaveFailedCanary(cluster, process, clock.nowMs())) return undefined;
    const { role = "prefill" } = parseIncarnation(process.name) ?? {};
    if (process.revision !== job.now.roles[role].revision) return undefined;
    const unwantedAtMs = job.unwantedAtMs(replicaOf(process.name));
    const drainMs = Math.max(...Object.values(job.spec.drainS)) * 1_000;
    return clock.nowMs() - unwantedAtMs > drainMs + stopLateMs
      ? `${by} stops ${process.name}, which is healthy and wanted`
      : undefined;
  },
});

/** Leases end what nobody looks after, and nothing else. */
export const leaseOnlyOrphans = ({ cluster, jobs, clock, watchedAtMs }: World): Oracle => ({
  name: "leases end only what nobody looks after",
  onEvent(event) {
    if (event.kind !== "engineAsked" || event.by !== "lease") return undefined;
    const { job, name } = event.process;
    const unwatchedMs = clock.nowMs() - (watchedAtMs.get(job) ?? 0);
    // What was started, or told, right before a change may have the lease of the config before.
    const leaseMs = (jobs.get(job)?.shortestLeaseS ?? 0) * 1_000;
    // One whose node was cut off for a while was not reached by every look.
    return !wasHurt(cluster, event.process) && unwatchedMs < leaseMs - renewalMs
      ? `the lease of ${name} ended ${unwatchedMs} ms after its job was last watched`
      : undefined;
  },
});
