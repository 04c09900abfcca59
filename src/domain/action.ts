import type { Bundle } from "./spec.ts";
import type { Member } from "./observed.ts";
import type { ReplicaId } from "./role.ts";

interface ForReplica {
  readonly replica: ReplicaId;
  readonly generation: number;
  /** Why, in the operator's words. */
  readonly reason: string;
}

/** One thing to do next. Each is performed by one idempotent activity of the same name. */
export type Action =
  | (ForReplica & { readonly kind: "reservePlacementGroup"; readonly bundles: readonly Bundle[]; readonly deadlineMs: number })
  | (ForReplica & { readonly kind: "startPrefill" | "startDecode"; readonly kvIp?: string })
  | (ForReplica & { readonly kind: "readKvIp" })
  | (ForReplica & { readonly kind: "waitHealthy"; readonly deadlineMs: number })
  | (ForReplica & { readonly kind: "drainReplica"; readonly deadlineMs: number })
  | (ForReplica & { readonly kind: "stopReplica"; readonly graceS: number })
  | (ForReplica & { readonly kind: "removePlacementGroup" })
  | { readonly kind: "renderProxy"; readonly generation: number; readonly members: readonly Member[]; readonly reason: string }
  | { readonly kind: "runProxy"; readonly generation: number; readonly command: ProxyCommand; readonly deadlineMs: number; readonly reason: string }
  | { readonly kind: "setMembership"; readonly proxyGeneration: number; readonly generation: number; readonly members: readonly Member[]; readonly reason: string }
  | { readonly kind: "drainProxy"; readonly deadlineMs: number; readonly reason: string }
  | { readonly kind: "stopProxy"; readonly generation: number; readonly graceS: number; readonly reason: string }
  | { readonly kind: "sweep"; readonly reason: string };

export type ActionKind = Action["kind"];

/** What `renderProxy` produced: the very command that `runProxy` runs. */
export interface ProxyCommand {
  readonly builtin: boolean;
  readonly argv: readonly string[];
  /** The members the command was rendered for. */
  readonly members: readonly Member[];
}
