import type { Action } from "../../../src/domain/action.ts";
import { targetOf, waits } from "../../../src/domain/action.ts";
import type { Observed } from "../../../src/domain/observed.ts";
import type { JobSpec } from "../../../src/domain/spec.ts";
import type { Process } from "../cluster/engine.ts";
import type { Task } from "../temporal/activities.ts";
import { isOutOfReach, replicaOf } from "../truth.ts";
import type { World } from "../world.ts";
import type { Oracle } from "./oracle.ts";

/**
 * A look waits for the answer of each actor, which takes one that is just starting about a second; a death that one look
 * misses by a moment is seen by the next, and then by that of the plan.
 */
const noticedWithinMs = 3_000;

interface Death {
  readonly process: Process;
  /** `demo/prefill-0`. */
  readonly key: string;
  /** Since when nothing but a look could show it. */
  sinceMs: number;
}

/** Whatever is done to the rest of its job, what ends by itself is in a plan soon; and whoever looks was not hindered. */
export function noticesDeaths(world: World): Oracle {
  const { clock, cluster, jobs } = world;
  const name = "what dies is noticed, whatever else is done to its job";
  const asked = new Set<Process>();
  const unnoticed = new Set<Death>();
  /** By job: what its newest plan was made of. */
  const newest = new Map<string, Observed>();
  /** Whoever was alive in a plan. */
  const met = new Set<string>();
  /** What is being done something to, and who does it may find it dead. */
  const busy = new Set<string>();

  /** The processes of an actor that is killed outlive it for a moment, and its absence may be in a plan by then. */
  function isMissed({ name: own, job }: Process): boolean {
    const look = newest.get(job);
    return look !== undefined && met.has(own) && !aliveIn(look).includes(own);
  }

  function isOwed({ process, sinceMs }: Death): boolean {
    const job = jobs.get(process.job);
    if (job?.execution.status !== "running" || job.ending || job.hasFailed()) return false;
    return world.disturbedUntilMs() < sinceMs && !isOutOfReach(process, cluster);
  }

  function check(death: Death): void {
    if (!unnoticed.has(death)) return;
    if (!isOwed(death)) return void unnoticed.delete(death);
    if (busy.has(death.key)) death.sinceMs = clock.nowMs();
    const leftMs = death.sinceMs + noticedWithinMs - clock.nowMs();
    if (leftMs > 0) return void clock.after(leftMs, () => check(death));
    const { process, sinceMs } = death;
    world.violate(name, `no plan knows of ${process.name} after ${clock.nowMs() - sinceMs} ms`);
  }

  return {
    name,
    onTask(task, change) {
      const key = changedBy(task);
      if (key === undefined) return undefined;
      if (change === "opened") return void busy.add(key);
      busy.delete(key);
      for (const death of unnoticed) if (death.key === key) death.sinceMs = clock.nowMs();
      return undefined;
    },
    onEvent(event) {
      if (event.kind === "engineAsked" || event.kind === "proxyAsked") asked.add(event.process);
      // Whoever starts it again under its name knows.
      if (event.kind === "engineStarted" || event.kind === "proxyStarted")
        for (const death of unnoticed)
          if (death.process.name === event.process.name) unnoticed.delete(death);
      if (event.kind !== "engineEnded" && event.kind !== "proxyEnded") return undefined;
      const { process } = event;
      if (asked.has(process) || isMissed(process)) return undefined;
      const target = event.kind === "proxyEnded" ? "proxy" : replicaOf(process.name);
      const death = { process, key: `${process.job}/${target}`, sinceMs: clock.nowMs() };
      unnoticed.add(death);
      clock.after(noticedWithinMs, () => check(death));
      return undefined;
    },
    onTurn({ job, observed }) {
      newest.set(job.spec.name, observed);
      const alive = aliveIn(observed);
      for (const one of alive) met.add(one);
      for (const death of unnoticed)
        if (death.process.job === job.spec.name && !alive.includes(death.process.name))
          unnoticed.delete(death);
      return undefined;
    },
  };
}

/** What a task changes; undefined for one that only looks or waits. */
function changedBy({ input }: Task): string | undefined {
  const { spec, action } = input as { readonly spec?: JobSpec; readonly action?: Action };
  return spec && action && !waits.has(action.kind) ? `${spec.name}/${targetOf(action)}` : undefined;
}

const aliveIn = ({ replicas, followers = [], proxies }: Observed): readonly string[] =>
  [...replicas, ...followers, ...proxies]
    .filter(({ state }) => state !== "exited" && state !== "lost")
    .map(({ name }) => name);
