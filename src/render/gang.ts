import { parallelSize } from "../domain/parallelism.ts";
import type { PortRequest, RoleSpec } from "../domain/spec.ts";

/** Which rank of a gang, and where its rank 0 is: there all of them meet. */
export interface GangPlace {
  readonly rank: number;
  readonly ranks: number;
  readonly leader: {
    readonly host: string;
    readonly ports: Readonly<Record<string, number | string>>;
  };
}

/** Ports of rank 0 at which the others find it. */
const masterPort = "gang_master";
const rpcPort = "gang_rpc";

/** Ports at which every rank looks for a server of rank 0. */
const sharedPorts: ReadonlySet<string> = new Set(["bootstrap"]);

/**
 * What vLLM needs to be told of a gang. Two things may be spread over nodes, and both at once:
 *
 * | data_parallel_size D over N nodes | each node has     | flags                                                    |
 * |-----------------------------------|-------------------|----------------------------------------------------------|
 * | D = 1                             | 1/N of the engine | `--nnodes` and its like: the `mp` executor spans nodes   |
 * | D a multiple of N                 | D/N whole ranks   | `--data-parallel-size-local` and its like                |
 * | N a multiple of D                 | 1/(N/D) of a rank | both                                                     |
 *
 * Only rank 0 has HTTP and balances by itself; `--data-parallel-start-rank` on it would switch that off.
 */
export function gangFlags(role: RoleSpec, { rank, ranks, leader }: GangPlace): readonly string[] {
  const dataParallel = parallelSize(role, "data_parallel_size");
  const executor = [
    ...flag("nnodes", ranks),
    ...flag("node-rank", rank),
    ...flag("master-addr", leader.host),
    ...flag("master-port", leader.ports[masterPort]),
  ];
  const start = Math.floor((rank * dataParallel) / ranks);
  const balancer = [
    ...flag("data-parallel-size-local", Math.max(1, Math.floor(dataParallel / ranks))),
    ...flag("data-parallel-address", leader.host),
    ...flag("data-parallel-rpc-port", leader.ports[rpcPort]),
    ...(rank === 0 ? [] : flag("data-parallel-start-rank", start)),
  ];
  return [
    ...(rank === 0 ? [] : ["--headless"]),
    ...(spansNodes(dataParallel, ranks) ? executor : []),
    ...(dataParallel > 1 ? balancer : []),
  ];
}

/** A follower has no API servers: vLLM refuses the user's number of them there. */
export const gangEnd = (role: RoleSpec, { rank }: GangPlace): readonly string[] =>
  rank > 0 && setsApiServers(role) ? ["--api-server-count", "0"] : [];

/** The ports that a rank needs on its node, given those of an engine on one node. */
export function gangPorts(
  role: RoleSpec,
  { rank, ranks }: Pick<GangPlace, "rank" | "ranks">,
  single: readonly PortRequest[],
): readonly PortRequest[] {
  if (rank > 0) return single.filter(({ name }) => !sharedPorts.has(name));
  const dataParallel = parallelSize(role, "data_parallel_size");
  return [
    ...single,
    ...(spansNodes(dataParallel, ranks) ? [{ name: masterPort, span: 1 }] : []),
    ...(dataParallel > 1 ? [{ name: rpcPort, span: 1 }] : []),
  ];
}

/** The rank's own ports, and rank 0's where a connector has one server for all. */
export const portsSeen = (
  own: GangPlace["leader"]["ports"],
  { leader }: GangPlace,
): GangPlace["leader"]["ports"] => ({
  ...own,
  ...Object.fromEntries(Object.entries(leader.ports).filter(([name]) => sharedPorts.has(name))),
});

/** The address that vLLM's ranks tell each other: on a machine with several networks its own guess may be wrong. */
export const gangEnv: Readonly<Record<string, string>> = { VLLM_HOST_IP: "{HOST}" };

const flag = (name: string, value: number | string | undefined): readonly string[] => [
  `--${name}`,
  String(value),
];

/** Does one data-parallel rank (or the whole engine without any) lie on more than one node? */
const spansNodes = (dataParallel: number, nodes: number): boolean => nodes > dataParallel;

const setsApiServers = ({ params, extraArgs }: RoleSpec): boolean =>
  ["api_server_count", "api-server-count"].some((name) => name in params) ||
  extraArgs.some((word) => /^(?:--api[-_]server[-_]count|-asc)(?:=|$)/.test(word));
