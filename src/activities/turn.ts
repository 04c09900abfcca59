import { cancellationSignal, sleep } from "@temporalio/activity";
import { ApplicationFailure } from "@temporalio/common";
import type { ErrorCode } from "../domain/errors.ts";
import { completeMemory } from "../domain/memory.ts";
import type { Observed } from "../domain/observed.ts";
import type { Plan, PlanInput } from "../domain/plan.ts";
import type { JobSpec } from "../domain/spec.ts";
import { reconcile } from "../plan/reconcile.ts";
import { busyTargets, digestOf } from "./digest.ts";
import type { ActivityDependencies } from "./index.ts";
import { startJobClock } from "./job-clock.ts";

/** How soon a change in the cluster is seen. One `list` takes a few milliseconds. */
const watchEveryMs = 250;
/** A watch ends by itself after this long, so that an idle job costs two watches a day in history. */
export const watchMaxMs = 12 * 3_600_000;

export interface Turn {
  readonly plan: Plan;
  /** Identifies what was observed, for `watchJob`. */
  readonly digest: string;
  /** Targets that the digest says nothing of; absent when there are none. */
  readonly busy?: readonly string[];
}

export interface WatchInput {
  readonly spec: JobSpec;
  readonly digest: string;
  readonly busy?: readonly string[];
}

export type TurnInput = Omit<PlanInput, "observed" | "nowMs">;

export const turnActivities = ({ agent }: ActivityDependencies) => {
  const observe = (
    { name, leaseS }: JobSpec,
    extra: { readonly nodes?: true } = {},
  ): Promise<Observed> =>
    agent.call(
      "list",
      // 0 as well: what was started with a lease is told that there is none any more.
      { job: name, leaseS, ...extra },
      { signal: cancellationSignal() },
    );

  /**
   * By job. An earlier watch was called off, and hears of that with a heartbeat only: until then it would look as well, and
   * renew leases to what an earlier config says.
   */
  const newest = new Map<string, WatchInput>();

  return {
    /** Observes the job and decides. The decision and its reasons stay in history as the audit trail. */
    async planTurn(input: TurnInput): Promise<Turn> {
      const nowMs = startJobClock();
      const observed = await observe(input.spec, { nodes: true });
      // The workflow may be in the hands of a worker of an earlier version.
      const memory = completeMemory(input.memory, nowMs());
      const plan = planOf({ ...input, memory, observed, nowMs: nowMs() });
      const busy = busyTargets(input.inFlight, plan.actions);
      return { plan, digest: digestOf(observed, busy), ...(busy.length > 0 ? { busy } : {}) };
    },

    /**
     * Returns as soon as the job no longer looks as it did when `digest` was taken, what is busy apart; renews the leases
     * meanwhile.
     */
    async watchJob(input: WatchInput): Promise<{ readonly changed: boolean }> {
      const { spec, digest, busy } = input;
      const nowMs = startJobClock();
      const endMs = nowMs() + watchMaxMs;
      newest.set(spec.name, input);
      const isNewest = (): boolean => newest.get(spec.name) === input;
      try {
        while (nowMs() < endMs && isNewest()) {
          await sleep(watchEveryMs);
          if (digestOf(await observe(spec), busy) !== digest) return { changed: true };
        }
        return { changed: false };
      } finally {
        if (isNewest()) newest.delete(spec.name);
      }
    },
  };
};

/** A plan depends on nothing but its input: what fails once fails always, and another config may be on its way already. */
function planOf(input: PlanInput): Plan {
  try {
    return reconcile(input);
  } catch (error) {
    throw ApplicationFailure.create({
      type: "Internal" satisfies ErrorCode,
      message: `No plan could be made (${String(error)}). This is an error of pdjob; another config may do without it.`,
      nonRetryable: true,
      cause: error instanceof Error ? error : undefined,
    });
  }
}
