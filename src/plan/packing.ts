import type { ObservedNode } from "../domain/observed.ts";
import { roles } from "../domain/role.ts";
import type { ReplicaId } from "../domain/role.ts";
import type { Bundle, JobSpec } from "../domain/spec.ts";
import { explainNoPlace, isFeasible, layoutOf } from "./placement.ts";
import type { Layout } from "./placement.ts";

/** A replica that finds no place, and whether it might once others make room. */
export interface Unplaced {
  readonly replica: ReplicaId;
  /** False: these nodes can never hold it. */
  readonly feasible: boolean;
  readonly reason: string;
}

/**
 * Puts the replicas of a job on these nodes, otherwise empty, one after the other as a deployment asks for them: each
 * bundle where it leaves least free. Ray may choose better or worse, so one that is left over here *may* have to wait.
 */
export function unplaced(spec: JobSpec, nodes: readonly ObservedNode[]): readonly Unplaced[] {
  let free: readonly ObservedNode[] = nodes.filter(({ alive }) => alive);
  const left: Unplaced[] = [];
  for (const role of roles) {
    for (let index = 0; index < spec.roles[role].replicas; index++) {
      const layout = layoutOf(spec, role, nodes);
      const after = place(layout, free);
      if (after) free = after;
      else
        left.push({
          replica: { role, index },
          feasible: isFeasible(layout, nodes),
          reason: explainNoPlace({ spec, role, layout }, free),
        });
    }
  }
  return left;
}

/** What is free once the layout has its place; undefined when it finds none. */
function place(
  { bundles, strategy }: Layout,
  free: readonly ObservedNode[],
): readonly ObservedNode[] | undefined {
  let after: readonly ObservedNode[] = free;
  const used = new Set<string>();
  for (const bundle of bundles) {
    const choice = after
      .filter(({ ip }) => strategy !== "STRICT_SPREAD" || !used.has(ip))
      .filter(({ available }) => hasRoom(available, bundle))
      .toSorted((a, b) => a.available.GPU - b.available.GPU)[0];
    if (!choice) return undefined;
    used.add(choice.ip);
    after = after.map((node) => (node === choice ? without(node, bundle) : node));
  }
  return after;
}

const hasRoom = (have: ObservedNode["available"], { GPU = 0, CPU = 0 }: Bundle): boolean =>
  have.GPU >= GPU && have.CPU >= CPU;

const without = (node: ObservedNode, { GPU = 0, CPU = 0 }: Bundle): ObservedNode => ({
  ...node,
  available: { GPU: node.available.GPU - GPU, CPU: node.available.CPU - CPU },
});
