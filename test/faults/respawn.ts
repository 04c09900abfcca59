import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { startGuarded } from "../../src/dev/guarded.ts";
import type { Guarded } from "../../src/dev/guarded.ts";
import { eventually } from "../support/eventually.ts";
import { allProcesses } from "../support/processes.ts";
import type { Rig } from "../support/rig.ts";

const stopGraceS = 0.5;

/** Kills parts of the embedded stack and starts them again with the very command that they ran. */
export function createRespawner(rig: Rig) {
  const started: Guarded[] = [];
  const nodes = rig.stack.nodes.map(({ process: { pid } }) => pid);

  async function respawn(pid: number, log: string): Promise<Guarded> {
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    const env = Object.fromEntries(
      readFileSync(`/proc/${pid}/environ`, "utf8")
        .split("\0")
        .filter(Boolean)
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    process.kill(pid, "SIGKILL");
    await eventually(`${pid} is gone`, () => !isRunning(pid));
    const next = await startGuarded({ argv, env, cwd, log: join(rig.stack.logDir, log) });
    started.push(next);
    return next;
  }

  return {
    /** The node's engines die with it; a new raylet with the same address and GPUs joins. */
    async node(index: number): Promise<string> {
      const next = await respawn(nodes[index] ?? 0, `ray-node-again-${started.length}.log`);
      nodes[index] = next.pid;
      return `node ${index} is now ${next.pid}`;
    },
    /** On the same database. */
    async temporal(): Promise<string> {
      const pid = temporalPid(rig);
      await respawn(pid, "temporal-again.log");
      return `Temporal ${pid} is back`;
    },
    async stop(): Promise<void> {
      for (const one of started) await one.stop(stopGraceS);
    },
  };
}

export type Respawner = ReturnType<typeof createRespawner>;

const isRunning = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

/** The server whose database is in the rig's folder. */
function temporalPid({ dir }: Rig): number {
  const found = allProcesses().find(
    ({ command }) =>
      command.includes("start-dev") && command.includes(dir) && !command.includes("guard"),
  );
  if (found === undefined) throw new Error("no Temporal server of this rig runs");
  return found.pid;
}
