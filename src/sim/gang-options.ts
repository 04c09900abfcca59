/** How one command takes part in an engine that several nodes run together. */
export interface GangOptions {
  /** Whether this process serves HTTP. */
  readonly headless: boolean;
  /** Position among the commands of the engine; 0 is met by all others. */
  readonly rank: number;
  /** How many others join the first one. */
  readonly others: number;
  readonly meeting: { readonly host: string; readonly port: number };
  /** The data-parallel ranks whose engine core is here: they have side channels. */
  readonly cores: readonly number[];
}

interface Flags {
  readonly count: (name: string, fallback: number) => number;
  readonly text: (name: string) => string | undefined;
  readonly has: (name: string) => boolean;
}

/**
 * The multi-node flags of vLLM 0.32, and what it refuses about them, in its own words. Data parallelism alone meets at
 * `--data-parallel-address`, everything else at `--master-addr`.
 */
export function parseGang({ count, text, has }: Flags): GangOptions {
  const nodes = count("nnodes", 1);
  const nodeRank = count("node-rank", 0);
  const dataParallel = count("data-parallel-size", 1);
  const worldSize =
    dataParallel * count("tensor-parallel-size", 1) * count("pipeline-parallel-size", 1);
  const headless = has("headless");
  refuseNodes(nodes, nodeRank, worldSize);
  if (headless && count("api-server-count", 0) > 0)
    throw new Error(
      `--api-server-count=${text("api-server-count")} cannot be used with --headless (no API servers are started in headless mode).`,
    );
  const perNode = Math.max(1, Math.floor(dataParallel / nodes));
  const localSize = count("data-parallel-size-local", nodes > 1 ? perNode : dataParallel);
  const startRank = count(
    "data-parallel-start-rank",
    Math.floor((nodeRank * dataParallel) / nodes),
  );
  if (localSize > dataParallel)
    throw new Error(
      `data_parallel_size_local (${localSize}) must be <= data_parallel_size (${dataParallel})`,
    );
  if (has("data-parallel-start-rank") && !headless)
    throw new Error("Remote engine 1 must not use --headless in external or hybrid dp lb mode");
  if (nodes > 1 && nodeRank > 0 && !headless)
    throw new Error("only the simulation says this: a node rank above 0 needs --headless");
  const meeting =
    nodes > 1
      ? { host: text("master-addr") ?? "127.0.0.1", port: count("master-port", 29_501) }
      : {
          host: text("data-parallel-address") ?? "127.0.0.1",
          port: count("data-parallel-rpc-port", 29_550),
        };
  const commands = nodes > 1 ? nodes : Math.ceil(dataParallel / localSize);
  const rank = nodes > 1 ? nodeRank : Math.floor(startRank / localSize);
  // Of a data-parallel rank that spans nodes, the first one has the core.
  const isFirst = nodeRank % Math.max(1, nodes / dataParallel) === 0;
  const cores = isFirst ? Array.from({ length: localSize }, (_, index) => startRank + index) : [];
  return { headless, rank, others: commands - 1, meeting, cores };
}

function refuseNodes(nodes: number, nodeRank: number, worldSize: number): void {
  if (nodes <= 1) return;
  if (worldSize % nodes !== 0)
    throw new Error(
      `Invalid data-parallel launch options: \`--nnodes ${nodes}\` must evenly divide the total world size (${worldSize}). Adjust \`--nnodes\`, \`--data-parallel-size\`, \`--pipeline-parallel-size\`, \`--tensor-parallel-size\`, or \`--prefill-context-parallel-size\`.`,
    );
  if (nodeRank < 0 || nodeRank >= nodes)
    throw new Error(
      `Invalid data-parallel launch options: \`--node-rank\` must be between 0 and ${nodes - 1}; got \`--node-rank ${nodeRank}\`. Set it to this node's zero-based index.`,
    );
}
