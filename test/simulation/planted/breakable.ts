import type * as Drain from "../../../src/activities/drain.ts";
import type * as Canary from "../../../src/plan/canary.ts";
import type * as Condemn from "../../../src/plan/condemn.ts";
import type * as Members from "../../../src/plan/members.ts";
import type * as Membership from "../../../src/plan/membership.ts";
import type * as Reconcile from "../../../src/plan/reconcile.ts";
import type * as Replica from "../../../src/plan/replica.ts";
import type * as Restarts from "../../../src/plan/restarts.ts";
import type * as Teardown from "../../../src/plan/teardown.ts";
import type * as View from "../../../src/plan/view.ts";
import type * as World from "../../../src/plan/world.ts";
import type * as Remember from "../../../src/workflows/remember.ts";
import type * as State from "../../../src/workflows/state.ts";
import type * as Watcher from "../../../src/workflows/watcher.ts";
import type * as Lease from "../cluster/lease.ts";
import type * as ProxyActor from "../cluster/proxy.ts";
import type * as Removal from "../cluster/removal.ts";
import type * as ReplicaActor from "../cluster/replica.ts";
import type * as Traffic from "../cluster/traffic.ts";
import type * as Verbs from "../cluster/verbs.ts";

/** Every function that a bug can take the place of, as it is in truth. */
export type Code = typeof Canary &
  typeof Condemn &
  typeof Drain &
  typeof Lease &
  typeof Members &
  typeof Membership &
  typeof ProxyActor &
  typeof Reconcile &
  typeof Remember &
  typeof Removal &
  typeof Replica &
  typeof ReplicaActor &
  typeof Restarts &
  typeof State &
  typeof Teardown &
  typeof Traffic &
  typeof Verbs &
  typeof View &
  typeof Watcher &
  typeof World;

type Call = (...args: unknown[]) => unknown;

const truth: Record<string, unknown> = {};
let planted: Readonly<Record<string, unknown>> = {};

/** From now on the planted functions run in the place of the real ones, which they may call. */
export function plant(bug: (real: Code) => Partial<Code>): void {
  planted = bug(truth as Code);
}

/** A module whose functions ask at each call whether a bug took their place. */
export function breakable<M extends object>(module: M): M {
  Object.assign(truth, module);
  const exports = Object.entries(module).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === "function"
      ? (...args: unknown[]) => ((planted[name] ?? value) as Call)(...args)
      : name === "verbs"
        ? new Proxy(value as object, {
            get: (_, verb) => Reflect.get((planted[name] ?? value) as object, verb),
          })
        : value,
  ]);
  return Object.fromEntries(exports) as M;
}
