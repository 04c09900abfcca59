import { rmSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { connectAgent, findPython } from "../ray/agent.ts";
import type { Agent } from "../ray/agent.ts";
import { startGuarded } from "./guarded.ts";
import type { Guarded } from "./guarded.ts";
import { nodeEnv } from "./own-env.ts";
import { freePort } from "./ports.ts";
import { rayAdvice } from "./ray-advice.ts";
import { makeTempDir } from "./temp-dirs.ts";
import { untilStarted } from "./until-started.ts";

const startTimeoutMs = 90_000;
/** Enough for actor arguments; Ray's default would be a third of the memory. */
const objectStoreBytes = 80_000_000;
/** A killed raylet takes its workers with it, so there is nothing to wait for. */
const stopGraceS = 0.5;
/** Ray's workers listen below the range that engines get (20000-31999) and the kernel's own (32768 and up). */
const workerPortsFrom = 10_000;
const workerPortsPerNode = 150;
/** Above every worker range, since Ray refuses a port that lies in one. */
const gcsPortsFrom = 19_000;

export interface RayOptions {
  readonly nodes: number;
  readonly gpusPerNode: number;
  readonly cpusPerNode: number;
  /** Ray's tables survive its head, in RocksDB. */
  readonly keepTables: boolean;
  readonly logDir: string;
  readonly onProgress: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface RayNode {
  readonly ip: string;
  readonly process: Guarded;
}

export interface LocalRay {
  readonly address: string;
  readonly head: RayNode;
  readonly nodes: readonly RayNode[];
  stop(): Promise<void>;
}

/**
 * A Ray cluster on loopback: a head without resources, then the nodes one by one (several at once time out on small
 * machines). GPUs are declared, not real. Each stack has addresses of its own, since Ray rewrites 127.0.0.1.
 */
export async function startRay(options: RayOptions): Promise<LocalRay> {
  const tempDir = makeTempDir();
  const subnet = `127.${1 + (process.pid % 250)}.${Math.floor(process.pid / 250) % 250}`;
  const port = await freePort(gcsPortsFrom + (process.pid % 800));
  const address = `${subnet}.254:${port}`;
  const started: RayNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.toReversed().map((node) => node.process.stop(stopGraceS)));
    rmSync(tempDir, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const env = options.keepTables ? tablesBelow(tempDir) : {};
    const head = await startNode(
      { ip: `${subnet}.254`, args: headArgs(port, tempDir), name: "ray-head", index: 0, env },
      options,
    );
    started.push(head);
    await untilUp(head, "ray-head", options, () => accepts(head.ip, port));
    await startNodes(options, { address, subnet, head }, started);
    return { address, head, nodes: started.slice(1), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNodes(
  options: RayOptions,
  {
    address,
    subnet,
    head,
  }: { readonly address: string; readonly subnet: string; readonly head: RayNode },
  started: RayNode[],
): Promise<void> {
  const agent = connectAgent({ rayAddress: address });
  try {
    await untilUp(head, "ray-head", options, () => hasNodes(agent, 1));
    for (let index = 1; index <= options.nodes; index++) {
      const name = `ray-node-${index}`;
      const resources = [`--num-cpus=${options.cpusPerNode}`, `--num-gpus=${options.gpusPerNode}`];
      const args = [`--address=${address}`, ...resources];
      const node = await startNode({ ip: `${subnet}.${index}`, args, name, index }, options);
      started.push(node);
      await untilUp(node, name, options, () => hasNodes(agent, index + 1));
      options.onProgress(`Ray node ${node.ip} with ${options.gpusPerNode} declared GPUs`);
    }
  } finally {
    await agent.close();
  }
}

const headArgs = (port: number, tempDir: string): readonly string[] => [
  "--head",
  `--port=${port}`,
  "--num-cpus=0",
  "--num-gpus=0",
  "--include-dashboard=false",
  "--disable-usage-stats",
  `--temp-dir=${tempDir}`,
];

const tablesBelow = (tempDir: string): Readonly<Record<string, string>> => ({
  RAY_gcs_storage: "rocksdb",
  RAY_gcs_storage_path: join(tempDir, "tables"),
});

interface NodeStart {
  readonly ip: string;
  readonly args: readonly string[];
  readonly name: string;
  readonly index: number;
  readonly env?: Readonly<Record<string, string>>;
}

async function startNode(
  { ip, args, name, index, env = {} }: NodeStart,
  { logDir }: RayOptions,
): Promise<RayNode> {
  const first = workerPortsFrom + (process.pid % 7) * 1_200 + index * workerPortsPerNode;
  const ports = [
    `--min-worker-port=${first}`,
    `--max-worker-port=${first + workerPortsPerNode - 1}`,
  ];
  const common = [
    "start",
    "--block",
    `--node-ip-address=${ip}`,
    `--object-store-memory=${objectStoreBytes}`,
    // It would read every log of a node all day, to show them to a driver that has logs of its own.
    "--include-log-monitor=false",
    ...ports,
  ];
  const argv = [findPython(), "-m", "ray.scripts.scripts", ...common, ...args];
  const process_ = await startGuarded({
    argv,
    env: { ...nodeEnv(), ...env },
    cwd: "/",
    log: join(logDir, `${name}.log`),
  });
  return { ip, process: process_ };
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** The agent itself cannot join before the head's raylet is up, so its failures count as "not yet". */
async function hasNodes(agent: Agent, count: number): Promise<boolean> {
  const { nodes } = await agent.call("nodes", {}).catch(() => ({ nodes: [] }));
  return nodes.filter(({ alive }) => alive).length >= count;
}

const untilUp = (
  { ip, process: node }: RayNode,
  name: string,
  { logDir, signal }: RayOptions,
  isUp: () => Promise<boolean>,
): Promise<void> =>
  untilStarted({
    what: name === "ray-head" ? `The Ray head ${ip}` : `The Ray node ${ip}`,
    process: node,
    log: join(logDir, `${name}.log`),
    isUp,
    timeoutMs: startTimeoutMs,
    fixFor: (tail) => rayAdvice(tail, findPython()),
    signal,
  });
