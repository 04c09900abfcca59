import type { Role } from "../domain/role.ts";
import type { Bundle, JobSpec } from "../domain/spec.ts";

/** A node as far as placement cares. */
export interface NodeResources {
  readonly ip: string;
  readonly alive: boolean;
  readonly total: Readonly<Record<"GPU" | "CPU", number>>;
  readonly available: Readonly<Record<"GPU" | "CPU", number>>;
}

/**
 * What one replica reserves: a single bundle with all its GPUs, so that it stays on one node.
 * CPUs are reserved per worker; a replica has one worker for each `gpus_per_worker` GPUs, at least one.
 */
export function replicaBundles(spec: JobSpec, role: Role): readonly Bundle[] {
  const { numGpus } = spec.roles[role];
  const workers = Math.max(1, Math.floor(numGpus / spec.gpusPerWorker));
  const cpus = spec.numCpus * workers;
  return [{ ...(numGpus > 0 ? { GPU: numGpus } : {}), ...(cpus > 0 ? { CPU: cpus } : {}) }];
}

/** Why a bundle has no place now, with the numbers: for the operator. */
export function explainNoPlace(bundle: Bundle, nodes: readonly NodeResources[]): string {
  const alive = nodes.filter((node) => node.alive);
  const holds = (have: NodeResources["total"]): boolean =>
    have.GPU >= (bundle.GPU ?? 0) && have.CPU >= (bundle.CPU ?? 0);
  const seen = alive
    .map(
      ({ ip, total, available }) =>
        `${ip}: ${available.GPU} of ${total.GPU} GPUs and ${available.CPU} of ${total.CPU} CPUs free`,
    )
    .join("; ");
  const need = `${bundle.GPU ?? 0} GPUs and ${bundle.CPU ?? 0} CPUs on one node`;
  if (alive.some((node) => holds(node.total))) {
    return `It needs ${need}, which other jobs hold at the moment (${seen}). Stop or scale down another job, or add a node.`;
  }
  return `It needs ${need}, and no node has that many at all (${seen || "no node is alive"}). Lower num_gpus or num_cpus, or add a larger node.`;
}
