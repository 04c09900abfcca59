import type { Member, Membership } from "../../../src/domain/observed.ts";
import type { Role } from "../../../src/domain/role.ts";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import type { Boot, Process } from "./engine.ts";
import type { ProxyProcess } from "./proxy.ts";
import type { Ray } from "./ray.ts";

/** What happens in the cluster, for the oracles and the trace. */
export type ClusterEvent =
  | { readonly kind: "engineStarted"; readonly process: Process; readonly ports: readonly number[] }
  | { readonly kind: "engineEnded"; readonly process: Process }
  /** A request came through a pair. */
  | { readonly kind: "canary"; readonly process: Process; readonly prefill: Process }
  /** SIGTERM on behalf of somebody: a verb, a fence or a lease. */
  | { readonly kind: "engineAsked"; readonly process: Process; readonly by: string }
  | { readonly kind: "proxyStarted"; readonly process: ProxyProcess }
  | { readonly kind: "proxyEnded"; readonly process: ProxyProcess }
  | { readonly kind: "proxyAsked"; readonly process: ProxyProcess; readonly by: string }
  | {
      readonly kind: "membership";
      readonly process: ProxyProcess;
      readonly before: Membership;
      readonly after: Membership;
    }
  | { readonly kind: "routed"; readonly process: ProxyProcess; readonly member: Member };

/** Everything that is true, whether Ray and the orchestrator know it or not. */
export interface Cluster {
  readonly clock: Clock;
  readonly random: Random;
  readonly ray: Ray;
  /** Every engine process that was ever started. */
  readonly engines: Process[];
  readonly proxies: ProxyProcess[];
  /** Something that can be observed changed, or is about to look different to a prober. */
  touch(): void;
  /** The same, later: when a boot is done, or a third probe has failed. */
  touchAfter(delayMs: number): void;
  /** How engines boot. */
  nextBoot(job: string, role: Role): Boot;
  nextPort(): number;
  emit(event: ClusterEvent): void;
}
