import type { Action, InFlightAction } from "../domain/action.ts";
import { isReplacedProxy, targetOf, waits } from "../domain/action.ts";
import { parseIncarnation, replicaName } from "../domain/names.ts";
import type { Observed } from "../domain/observed.ts";
import { fingerprint } from "./fingerprint.ts";

/**
 * The targets that something is being done to, by what is in flight or about to be: what is seen of them is its progress,
 * and its end is heard of. What is only waited for stays in sight, as something else may happen to it; and so does a proxy
 * that was replaced.
 */
export function busyTargets(
  inFlight: readonly Pick<InFlightAction, "kind" | "target">[],
  actions: readonly Action[],
): readonly string[] {
  const begun = actions.map((action) => ({ kind: action.kind, target: targetOf(action) }));
  const busy = [...inFlight, ...begun].filter(
    ({ kind, target }) => !waits.has(kind) && !isReplacedProxy(target),
  );
  return [...new Set(busy.map(({ target }) => target))].toSorted();
}

/**
 * The same for two looks at a job between which nothing happened but to `busy` targets. Only what the planner acts upon:
 * counts of requests in flight, for example, change all the time.
 */
export function digestOf(observed: Observed, busy: readonly string[] = []): string {
  const { session, placementGroups, replicas, proxies, followers = [] } = observed;
  const inSight = <T extends { readonly name: string }>(all: readonly T[]): readonly T[] =>
    all.filter(({ name }) => !busy.includes(targetNamed(name)));
  const facts = [
    // Two watches that leave out different targets are never the same.
    ...(busy.length > 0 ? [busy] : []),
    session,
    inSight(placementGroups)
      .map(({ name, state, schedulingState }) => [name, state, schedulingState])
      .toSorted(byName),
    inSight(replicas)
      .map(({ name, state, endpoint }) => [name, state, endpoint])
      .toSorted(byName),
    inSight(proxies)
      .map(({ name, state, membership }) => [name, state, membership])
      .toSorted(byName),
    inSight(followers)
      .map(({ name, state }) => [name, state])
      .toSorted(byName),
  ];
  return fingerprint(facts);
}

/** `prefill-0` for each of its ranks, `proxy` for each of its generations. */
function targetNamed(name: string): string {
  const replica = parseIncarnation(name);
  return replica ? replicaName(replica) : "proxy";
}

const byName = ([a]: readonly unknown[], [b]: readonly unknown[]): number =>
  String(a) < String(b) ? -1 : 1;
