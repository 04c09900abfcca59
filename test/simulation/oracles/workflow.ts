import type { Action } from "../../../src/domain/action.ts";
import { targetOf } from "../../../src/domain/action.ts";
import { replicaName } from "../../../src/domain/names.ts";
import type { JobSpec } from "../../../src/domain/spec.ts";
import { isAlive, probedState } from "../cluster/engine.ts";
import type { Job } from "../job.ts";
import { wantedIds } from "../job.ts";
import type { Task } from "../temporal/activities.ts";
import { liveProxies, replicaOf } from "../truth.ts";
import type { World } from "../world.ts";
import type { Oracle } from "./oracle.ts";

/** More activities than this within a minute is no reaction to anything: the policy spins. */
const tasksPerMinuteMax = 600;
const backoffFirstMs = 1_000;
const backoffMaxMs = 60_000;
/** The planner's clock and the workflow's are milliseconds apart. */
const earlyMs = 100;

interface Performed {
  readonly spec: JobSpec;
  readonly action: Action;
}

function actionOf({ input }: Task): Performed | undefined {
  const { spec, action } = input as Partial<Performed>;
  return action && spec ? { spec, action } : undefined;
}

/** Two activities never work on one replica, on the proxy, or on the whole job at the same time. */
export function oneActionPerTarget(): Oracle {
  const busy = new Map<string, string>();
  return {
    name: "one action for each target",
    onTask(task, change) {
      const performed = actionOf(task);
      // It only reads, and its target may be busy with something else.
      if (!performed || performed.action.kind === "readKvIp") return undefined;
      const key = `${performed.spec.name}/${targetOf(performed.action)}`;
      if (change === "closed") return void busy.delete(key);
      const other = busy.get(key);
      busy.set(key, task.type);
      return other && `${task.type} of ${key} starts while ${other} is running`;
    },
  };
}

/** A watch that is not called off has the job to itself: each costs a look twice a second. */
export function oneWatch(): Oracle {
  const open = new Set<Task>();
  const jobOf = ({ input }: Task): string => (input as Performed).spec.name;
  return {
    name: "one watch for each job",
    onTask(task, change) {
      if (task.type !== "watchJob") return undefined;
      if (change === "closed") return void open.delete(task);
      const other = [...open].find((one) => !one.isCancelRequested && jobOf(one) === jobOf(task));
      open.add(task);
      return other && `a watch of ${jobOf(task)} starts beside another`;
    },
  };
}

/** Replacements wait longer each time, and end with the budget. */
export function withinBudget({ clock, jobs }: World): Oracle {
  const replacedAtMs = new Map<string, number[]>();

  function check(job: Job, target: string, key: string): string | undefined {
    const { restartsMax, windowS } = job.spec.restart;
    const nowMs = clock.nowMs();
    const since = Math.max(nowMs - windowS * 1_000, job.unwantedAtMs(target));
    const recent = (replacedAtMs.get(key) ?? []).filter((atMs) => atMs > since);
    const last = recent.at(-1);
    replacedAtMs.set(key, [...recent, nowMs]);
    if (recent.length >= restartsMax)
      return `${target} is replaced ${recent.length + 1} times within ${windowS} s; ${restartsMax} are allowed`;
    const waitMs = Math.min(backoffFirstMs * 2 ** (recent.length - 1), backoffMaxMs);
    return last !== undefined && nowMs < last + waitMs - earlyMs
      ? `${target} is replaced ${nowMs - last} ms after its last replacement instead of ${waitMs} ms`
      : undefined;
  }

  return {
    name: "replacements keep to backoff and budget",
    onTask(task, change) {
      const performed = change === "opened" ? actionOf(task) : undefined;
      if (performed?.action.kind !== "reservePlacementGroup" || !performed.action.replaces)
        return undefined;
      const job = jobs.get(performed.spec.name);
      const target = targetOf(performed.action);
      return job && check(job, target, `${performed.spec.name}/${target}`);
    },
  };
}

/** The policy reacts and then waits. */
export function noSpinning({ clock }: World): Oracle {
  let minute = 0;
  let count = 0;
  return {
    name: "the policy does not spin",
    onTask(task, change) {
      if (change === "closed") return undefined;
      const now = Math.floor(clock.nowMs() / 60_000);
      count = now === minute ? count + 1 : 1;
      minute = now;
      return count > tasksPerMinuteMax
        ? `${count} activities within a minute, the last one ${task.type}`
        : undefined;
    },
  };
}

/** READY means that everything wanted answers, as far as probes can tell, and that the proxy uses exactly that. */
export const readyIsTrue = ({ cluster, clock }: World): Oracle => ({
  name: "READY is said only when it is true",
  onTurn({ job, input, turn, isUndisturbed }) {
    if (turn.plan.view.phase !== "READY" || !isUndisturbed) return undefined;
    const nowMs = clock.nowMs();
    const healthy = cluster.engines.filter(
      (engine) =>
        engine.job === job.spec.name && isAlive(engine) && probedState(engine, nowMs) === "healthy",
    );
    const names = new Set(healthy.map(({ name }) => replicaOf(name)));
    const wanted = wantedIds({ wanted: input.desired.replicas }).map(replicaName);
    const missing = wanted.filter((name) => !names.has(name));
    if (missing.length > 0) return `READY without ${missing.join(", ")}`;
    // The newest: it has taken over from the others.
    const proxy = liveProxies(cluster, job.spec.name).at(-1);
    if (!proxy || probedState(proxy, nowMs) !== "healthy") return "READY without a proxy";
    const members = proxy.membership.members.map(({ name }) => replicaOf(name));
    return members.toSorted().join() === wanted.toSorted().join()
      ? undefined
      : `READY while the proxy uses ${members.join(", ") || "nobody"}`;
  },
});

/** Whoever never asked for the end of a job that served keeps it. */
export const servesOn = (): Oracle => ({
  name: "a job that served goes on until somebody ends it",
  onTurn: ({ job, input }) =>
    input.desired.stop && job.hasServed && job.ending === undefined
      ? "the job tears itself down"
      : undefined,
});
