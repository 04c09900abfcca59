import type { Job } from "./job.ts";
import { leftovers, shortcomings } from "./truth.ts";
import type { World } from "./world.ts";

/** After the last fault a job is as it should be within this long: notice, backoff, boot, and all that twice. */
export const settleWithinMs = 8 * 60_000;
/** What is left of a job that ended goes within this long: guards, and kills that reach a node late. */
const goneWithinMs = 3 * 60_000;
/** It stays so: what comes back late (a zombie, a late retry) would show by then. */
const staysForMs = 15_000;

/** Why a job is not as it should be; empty when it is. */
export function unsettled(world: World, job: Job): readonly string[] {
  const { status } = job.execution;
  if (status === "running") {
    const phase = job.status()?.phase;
    if (phase !== "READY") return [`the workflow says ${phase}: ${job.status()?.reason}`];
    return shortcomings(world.cluster, job);
  }
  return status === "terminated" || sawNothing(job) || wasGivenUp(job)
    ? unowned(world, job)
    : leftovers(world.cluster, job.spec.name);
}

/** A first deployment whose cluster did not answer for minutes: its failure says how to clean up. */
const wasGivenUp = ({ execution: { ending } }: Job): boolean =>
  ending?.kind === "failed" && ending.message.includes("pdjob-client cleanup");

/** A start that could not look at the cluster even once has nothing of its own; what is there is of a run before it. */
const sawNothing = ({ execution, hasBegun }: Job): boolean =>
  execution.status === "failed" && !hasBegun;

/**
 * Nobody takes a terminated job down but its leases. They are held by actors: a group that was reserved when no actor
 * lived any more has none, and `pdjob-client cleanup` is for it.
 */
function unowned({ cluster }: World, { spec, hadNoLease }: Job): readonly string[] {
  const left = leftovers(cluster, spec.name);
  return hadNoLease || left.every((what) => what.startsWith("group ")) ? [] : left;
}

/** Lets every job come to rest, and notes as a violation what did not. */
export async function settle(world: World, withinMs = settleWithinMs): Promise<void> {
  const jobs = [...world.jobs.values()];
  const problems = (): readonly string[] => jobs.flatMap((job) => unsettled(world, job));
  const isQuiet = (): boolean => problems().length === 0;
  await world.run(withinMs, every(20, isQuiet));
  if (world.violations.length > 0) return;
  if (!isQuiet()) return world.violate("every job comes to rest", problems().join("; "));
  await world.run(staysForMs);
  if (world.violations.length === 0 && !isQuiet())
    world.violate("a job that came to rest stays so", problems().join("; "));
}

/** Ends every job that still runs, and looks for what is left. */
export async function tearDown(world: World): Promise<void> {
  const jobs = [...world.jobs.values()];
  for (const job of jobs) if (job.execution.status === "running") job.stop();
  await world.run(settleWithinMs, () =>
    jobs.every(({ execution }) => execution.status !== "running"),
  );
  if (world.violations.length > 0) return;
  for (const { execution, spec, ending, hasServed } of jobs) {
    const expected =
      ending === "cancel" ? "cancelled" : ending === "stop" ? "completed" : execution.status;
    const failedFirst = execution.status === "failed" && !hasServed;
    if (execution.status !== expected && !failedFirst)
      world.violate("a job ends as it was asked to", `${spec.name} is ${execution.status}`);
  }
  const left = (): readonly string[] =>
    jobs.flatMap((job) => (job.execution.status === "running" ? [] : unsettled(world, job)));
  await world.run(
    goneWithinMs,
    every(20, () => left().length === 0),
  );
  await world.run(staysForMs);
  if (left().length > 0) world.violate("nothing is left of an ended job", left().join(", "));
}

/** A check that is too slow to be made after each event. */
function every(count: number, check: () => boolean): () => boolean {
  let turn = 0;
  return () => turn++ % count === 0 && check();
}
