import type { ObservedNode } from "../domain/observed.ts";
import { roles } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";
import { replicaBundles } from "../plan/placement.ts";
import { Exit } from "./exit.ts";

/** More than any cluster that Ray has been measured on. */
const nodesMax = 2_000;
const group = /^(\d+)x(\d+)(?:x(\d+))?$/;

/** `2x8,1x4` or `2x8x64`: COUNTxGPUS, or COUNTxGPUSxCPUS, as nodes that hold nothing yet. */
export function readNodes(text: string, spec: JobSpec): readonly ObservedNode[] {
  const nodes = text.split(",").flatMap((part) => {
    const [, count, gpus, cpus] = group.exec(part.trim()) ?? [];
    if (count === undefined || Number(count) < 1 || Number(count) > nodesMax) {
      const text_ = `--nodes ${text}: expected COUNTxGPUS or COUNTxGPUSxCPUS, at least 1 node, at most ${nodesMax}`;
      throw new Exit(2, `${text_}. Example: --nodes 2x8,1x4`);
    }
    const total = { GPU: Number(gpus), CPU: Number(cpus ?? cpusOfJob(spec)) };
    return Array.from({ length: Number(count) }, () => ({ alive: true, total, available: total }));
  });
  return nodes.map((node, index) => ({ ip: `node ${index + 1}`, ...node }));
}

/** Nodes whose CPUs are not told have enough for the whole job. */
const cpusOfJob = (spec: JobSpec): number =>
  roles.reduce((sum, role) => {
    const cpus = replicaBundles(spec, role)[0]?.CPU ?? 0;
    return sum + cpus * spec.roles[role].replicas;
  }, 0);
