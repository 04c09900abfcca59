import type { ObservedNode, ObservedPlacementGroup } from "../domain/observed.ts";
import { parallelSize } from "../domain/parallelism.ts";
import type { Role } from "../domain/role.ts";
import type { Bundle, JobSpec, Strategy } from "../domain/spec.ts";

/** Layouts named to the operator when none of them has a place; the rest is more of the same. */
const layoutsNamedMax = 4;

/** How a replica lies on the nodes: a bundle for each rank of its engine, equal in size, so one for most replicas. */
export interface Layout {
  readonly bundles: readonly Bundle[];
  readonly strategy: Strategy;
}

/**
 * The layout of a new generation on these nodes, by what they have in total: a replica that some node can hold gets one
 * bundle, however busy that node is. A larger one becomes a gang of as few bundles as possible, each on a node of its
 * own, or sharing nodes when only that fits. One that fits in no way is asked for as one bundle: Ray then calls it
 * INFEASIBLE. `nodes` is undefined when the inventory is not known.
 */
export function layoutOf(
  spec: JobSpec,
  role: Role,
  nodes: readonly ObservedNode[] | undefined,
): Layout {
  const whole: Layout = { bundles: replicaBundles(spec, role), strategy: "STRICT_PACK" };
  if (nodes === undefined || isFeasible(whole, nodes)) return whole;
  const gangs = gangLayouts(spec, role);
  const choices = [...gangs, ...gangs.map(sharingNodes)];
  return choices.find((gang) => isFeasible(gang, nodes)) ?? whole;
}

/** The layout of a group that exists: what was cut once stays so, though the nodes may have changed since. */
export function layoutOfGroup(
  bundles: readonly Bundle[],
  nodes: readonly ObservedNode[] = [],
): Layout {
  if (bundles.length < 2) return { bundles, strategy: "STRICT_PACK" };
  const apart = { bundles, strategy: "STRICT_SPREAD" } as const;
  const shared = sharingNodes(apart);
  return !isFeasible(apart, nodes) && isFeasible(shared, nodes) ? shared : apart;
}

/**
 * What a replica reserves when it stays on one node: a single bundle with all its GPUs.
 * CPUs are reserved per worker; a replica has one worker for each `gpus_per_worker` GPUs, at least one.
 */
export const replicaBundles = (spec: JobSpec, role: Role): readonly Bundle[] => [
  bundleOf(spec, spec.roles[role].numGpus),
];

/** Can these nodes hold a replica, but not as this group cuts it? Then the group waits for what need not come. */
export function isMislaid(
  group: Pick<ObservedPlacementGroup, "state" | "schedulingState" | "bundles">,
  spec: JobSpec,
  role: Role,
  nodes: readonly ObservedNode[] | undefined,
): boolean {
  if (group.state !== "PENDING" || group.schedulingState !== "INFEASIBLE") return false;
  if (nodes === undefined || group.bundles === undefined) return false;
  const layout = layoutOf(spec, role, nodes);
  return isFeasible(layout, nodes) && !isSameCut(layout.bundles, group.bundles);
}

const isSameCut = (a: readonly Bundle[], b: readonly Bundle[]): boolean =>
  a.length === b.length &&
  a.every(
    ({ GPU = 0, CPU = 0 }, index) => GPU === (b[index]?.GPU ?? 0) && CPU === (b[index]?.CPU ?? 0),
  );

/** Every way to cut a replica into equal bundles of whole workers, fewest first. */
function gangLayouts(spec: JobSpec, role: Role): readonly Layout[] {
  const { numGpus } = spec.roles[role];
  const workers = numGpus / spec.gpusPerWorker;
  const dataParallel = parallelSize(spec.roles[role], "data_parallel_size");
  return Array.from({ length: Math.max(0, workers - 1) }, (_, index) => index + 2)
    .filter((count) => workers % count === 0)
    .filter((count) => splitsDataParallel(count, dataParallel))
    .map((count) => {
      const bundle = bundleOf(spec, numGpus / count);
      return { bundles: Array.from({ length: count }, () => bundle), strategy: "STRICT_SPREAD" };
    });
}

/** vLLM puts whole data-parallel ranks on a node, or spreads each over whole nodes; nothing in between. */
const splitsDataParallel = (nodes: number, ranks: number): boolean =>
  ranks % nodes === 0 || nodes % ranks === 0;

const sharingNodes = ({ bundles }: Layout): Layout => ({ bundles, strategy: "SPREAD" });

function bundleOf(spec: JobSpec, gpus: number): Bundle {
  const cpus = spec.numCpus * Math.max(1, Math.floor(gpus / spec.gpusPerWorker));
  return { ...(gpus > 0 ? { GPU: gpus } : {}), ...(cpus > 0 ? { CPU: cpus } : {}) };
}

type Amounts = ObservedNode["total"];

/** Could the nodes that are alive hold the layout, were it not for others? */
export const isFeasible = (layout: Layout, nodes: readonly ObservedNode[]): boolean =>
  fits(
    layout,
    nodes.filter(({ alive }) => alive).map(({ total }) => total),
  );

/** Do these amounts hold the layout? Its bundles are all alike. */
function fits({ bundles, strategy }: Layout, have: readonly Amounts[]): boolean {
  const bundle = bundles[0] ?? {};
  const room = have.reduce((sum, one) => {
    const count = roomFor(bundle, one);
    return sum + (strategy === "STRICT_SPREAD" ? Math.min(1, count) : count);
  }, 0);
  return room >= bundles.length;
}

const roomFor = (bundle: Bundle, have: Amounts): number =>
  Math.min(
    ...(["GPU", "CPU"] as const).map((kind) =>
      bundle[kind] ? Math.floor(have[kind] / bundle[kind]) : Number.MAX_SAFE_INTEGER,
    ),
  );

/** Why a layout has no place now, with the numbers: for the operator. */
export function explainNoPlace(
  { spec, role, layout }: { readonly spec: JobSpec; readonly role: Role; readonly layout: Layout },
  nodes: readonly ObservedNode[],
): string {
  const alive = nodes.filter((node) => node.alive);
  const seen = alive
    .map(
      ({ ip, total, available }) =>
        `${ip}: ${available.GPU} of ${total.GPU} GPUs and ${available.CPU} of ${total.CPU} CPUs free`,
    )
    .join("; ");
  const { bundles } = layout;
  const { GPU: gpus = 0, CPU: cpus = 0 } = bundles[0] ?? {};
  const need =
    bundles.length === 1
      ? `${gpus} GPUs and ${cpus} CPUs on one node`
      : `${bundles.length} bundles of ${gpus} GPUs and ${cpus} CPUs${layout.strategy === "SPREAD" ? "" : ", each on a node of its own"}`;
  if (isFeasible(layout, alive)) {
    return `It needs ${need}, which others hold at the moment (${seen}). Stop or scale down another job, or add a node.`;
  }
  const nowhere = `${bundles.length === 1 ? "no node has that many at all" : "the nodes cannot hold that at all"} (${seen || "no node is alive"})`;
  return `It needs ${need}, and ${nowhere}.${otherwise(spec, role)} Lower num_gpus or num_cpus, or add a larger node.`;
}

/** The gangs that were tried as well, so that the operator sees what would do. */
function otherwise(spec: JobSpec, role: Role): string {
  const gangs = gangLayouts(spec, role);
  const unit = `gpus_per_worker ${spec.gpusPerWorker}`;
  if (spec.roles[role].numGpus === 0) return "";
  if (gangs.length === 0) return ` It cannot span nodes with ${unit}.`;
  const named = gangs.slice(0, layoutsNamedMax).map(({ bundles }) => {
    const { GPU: gpus = 0 } = bundles[0] ?? {};
    return `${bundles.length} × ${gpus}`;
  });
  const more = gangs.length > named.length ? ", …" : "";
  return ` Nor do the nodes hold it as ${named.join(", ")}${more} GPUs (${unit}).`;
}
