import { cancellationSignal, sleep } from "@temporalio/activity";
import { ApplicationFailure } from "@temporalio/common";
import type { ErrorCode } from "../domain/errors.ts";
import { completeMemory } from "../domain/memory.ts";
import type { Observed } from "../domain/observed.ts";
import type { Plan, PlanInput } from "../domain/plan.ts";
import type { JobSpec } from "../domain/spec.ts";
import { reconcile } from "../plan/reconcile.ts";
import { fingerprint } from "./fingerprint.ts";
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

  return {
    /** Observes the job and decides. The decision and its reasons stay in history as the audit trail. */
    async planTurn(input: TurnInput): Promise<Turn> {
      const nowMs = startJobClock();
      const observed = await observe(input.spec, { nodes: true });
      // The workflow may be in the hands of a worker of an earlier version.
      const memory = completeMemory(input.memory, nowMs());
      return {
        plan: planOf({ ...input, memory, observed, nowMs: nowMs() }),
        digest: digestOf(observed),
      };
    },

    /** Returns as soon as the job no longer looks as it did when `digest` was taken; renews the leases meanwhile. */
    async watchJob({
      spec,
      digest,
    }: {
      readonly spec: JobSpec;
      readonly digest: string;
    }): Promise<{ readonly changed: boolean }> {
      const nowMs = startJobClock();
      const endMs = nowMs() + watchMaxMs;
      while (nowMs() < endMs) {
        if (digestOf(await observe(spec)) !== digest) return { changed: true };
        await sleep(watchEveryMs);
      }
      return { changed: false };
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

/** Only what the planner acts upon: counts of requests in flight, for example, change all the time. */
function digestOf(observed: Observed): string {
  const { session, placementGroups, replicas, proxies, followers = [] } = observed;
  const facts = [
    session,
    placementGroups
      .map(({ name, state, schedulingState }) => [name, state, schedulingState])
      .toSorted(byName),
    replicas.map(({ name, state, endpoint }) => [name, state, endpoint]).toSorted(byName),
    proxies.map(({ name, state, membership }) => [name, state, membership]).toSorted(byName),
    followers.map(({ name, state }) => [name, state]).toSorted(byName),
  ];
  return fingerprint(facts);
}

const byName = ([a]: readonly unknown[], [b]: readonly unknown[]): number =>
  String(a) < String(b) ? -1 : 1;
