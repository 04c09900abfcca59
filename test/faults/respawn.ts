import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startGuarded } from "../../src/dev/guarded.ts";
import type { Guarded, GuardedCommand } from "../../src/dev/guarded.ts";
import { eventually } from "../support/eventually.ts";
import { isListening } from "../support/listening.ts";
import { allProcesses, isProcess, treeOf } from "../support/processes.ts";
import type { OwnRig } from "../support/rig.ts";

const stopGraceS = 0.5;
const nodeJoinsWithinMs = 90_000;
/** Ray's `gcs_rpc_server_reconnect_timeout_s` is 60 s. */
const rayletGivesUpMs = 180_000;
/** Its raylet has 30 s, and Python comes before that. */
const headStartsWithinMs = 90_000;
const headStartsMax = 3;
/** `ray start --block` looks every second whether its raylet lives. */
const startEndsWithinMs = 30_000;

/** Kills parts of the embedded stack and starts them again with the very command that they ran, as a supervisor would. */
export function createRespawner(rig: OwnRig) {
  const started: Guarded[] = [];
  const pids = {
    head: rig.stack.head.process.pid,
    nodes: rig.stack.nodes.map(({ process: { pid } }) => pid),
  };
  const commands = { head: readCommand(pids.head), nodes: pids.nodes.map(readCommand) };

  const logOf = (count: number): string => join(rig.stack.logDir, `again-${count}.log`);

  async function start(command: Command): Promise<number> {
    const log = logOf(started.length);
    const next = await startGuarded({ ...command, log });
    started.push(next);
    return next.pid;
  }

  /** `ray start` gives up, GCS and all, when its raylet is too slow for it: a supervisor starts it again. */
  async function startHead(): Promise<void> {
    for (let count = 1; count <= headStartsMax; count++) {
      forgetAddress(commands.head);
      pids.head = await start(commands.head);
      const log = logOf(started.length - 1);
      const isUp = await eventually(
        "the head runs, or has ended",
        async () => {
          if (!isProcess(pids.head)) return "ended";
          return readFileSync(log, "utf8").includes("Ray runtime started") ? "up" : undefined;
        },
        headStartsWithinMs,
      );
      if (isUp === "up") return;
    }
    throw new Error(`${headStartsMax} times ray start --head ended by itself`);
  }

  return {
    /** Pid of the `ray start` that holds the head, or a node, now. */
    pids,
    /** The node's engines die with it; a new raylet with the same address and GPUs joins. */
    async node(index: number): Promise<string> {
      await killTrees([pids.nodes[index]]);
      const command = commands.nodes[index];
      if (command) pids.nodes[index] = await start(command);
      return `node ${index} is now ${pids.nodes[index]}`;
    },
    /** The raylet alone; its engines die with it. The node comes back once its `ray start` has noticed. */
    async raylet(index: number, raylet: number): Promise<string> {
      process.kill(raylet, "SIGKILL");
      const pid = pids.nodes[index] ?? 0;
      await eventually("its ray start has ended", () => !isProcess(pid), startEndsWithinMs);
      const command = commands.nodes[index];
      if (command) pids.nodes[index] = await start(command);
      return `node ${index} is now ${pids.nodes[index]}`;
    },
    /** The node's engines die with it, and it does not come back. */
    loseNode: (index: number): Promise<void> => killTrees([pids.nodes[index]]),
    /** The head alone, and with it the proxy. Whether its tables are kept depends on how it was started. */
    async head({ downMs = 0 } = {}): Promise<void> {
      await killTrees([pids.head]);
      await sleep(downMs);
      await startHead();
    },
    /** As a supervisor of each node does, once its raylet gave up the head that it had. */
    async nodesThatEnd(): Promise<void> {
      await Promise.all(
        commands.nodes.map(async (command, index) => {
          const pid = pids.nodes[index] ?? 0;
          await eventually(`node ${index} has ended`, () => !isProcess(pid), rayletGivesUpMs);
          pids.nodes[index] = await start(command);
        }),
      );
    },
    /** Head and nodes, and with them everything in Ray's tables. What comes back at the same address is empty. */
    async ray(): Promise<string> {
      await killTrees([pids.head, ...pids.nodes]);
      const tables = commands.head.env["RAY_gcs_storage_path"];
      if (tables !== undefined) rmSync(tables, { recursive: true, force: true });
      await startHead();
      for (const [index, command] of commands.nodes.entries()) {
        pids.nodes[index] = await start(command);
        await untilNodesAre(rig, index + 2);
      }
      return `Ray ${rig.stack.rayAddress} is back, empty`;
    },
    /** On the same database, or, when it was lost, on an empty one. */
    async temporal({ downMs = 0, databaseLost = false } = {}): Promise<string> {
      const pid = temporalPid(rig);
      const command = readCommand(pid);
      await killTrees([pid]);
      if (databaseLost) removeDatabase(command.argv);
      await sleep(downMs);
      await start(command);
      await eventually("Temporal listens", () => isListening(rig.stack.temporalAddress));
      return `Temporal ${pid} is back`;
    },
    /** Ends what was started here, then the rig: it removes the folders that Ray writes into as long as it runs. */
    async stop(): Promise<void> {
      await Promise.all(started.map((one) => one.stop(stopGraceS)));
      await rig.stop();
    },
  };
}

export type Respawner = ReturnType<typeof createRespawner>;

const untilNodesAre = (rig: OwnRig, count: number): Promise<unknown> =>
  eventually(
    `Ray has ${count} nodes, the head included`,
    async () => {
      const { nodes } = await rig.agent.call("nodes", {});
      return nodes.filter(({ alive }) => alive).length === count;
    },
    nodeJoinsWithinMs,
  );

type Command = Omit<GuardedCommand, "log">;

function readCommand(pid: number): Command {
  const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  const env = Object.fromEntries(
    readFileSync(`/proc/${pid}/environ`, "utf8")
      .split("\0")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  return { argv, env, cwd: readlinkSync(`/proc/${pid}/cwd`) };
}

/** Or a head refuses to start on a machine where nodes of it still run, which are elsewhere in earnest. */
function forgetAddress({ argv }: Command): void {
  const word = argv.find((one) => one.startsWith("--temp-dir="));
  if (word !== undefined) rmSync(join(word.slice("--temp-dir=".length), "ray_current_cluster"));
}

function removeDatabase(argv: readonly string[]): void {
  const file = argv[argv.indexOf("--db-filename") + 1];
  if (file === undefined) throw new Error("the server has no database file");
  for (const part of ["", "-wal", "-shm"]) rmSync(`${file}${part}`, { force: true });
}

/** Their guards take the rest of each tree along. */
async function killTrees(roots: readonly (number | undefined)[]): Promise<void> {
  const trees = roots.map((root) => (root === undefined ? [] : treeOf(root)));
  for (const [first] of trees) if (first) process.kill(first.pid, "SIGKILL");
  await eventually(`the trees of ${roots.join(", ")} are gone`, () =>
    trees.flat().every(({ pid }) => !isProcess(pid)),
  );
}

/** The server whose database is in the rig's folder. */
export function temporalPid({ dir }: OwnRig): number {
  const found = allProcesses().find(
    ({ command }) =>
      command.includes("start-dev") && command.includes(dir) && !command.includes("guard"),
  );
  if (found === undefined) throw new Error("no Temporal server of this rig runs");
  return found.pid;
}
