import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, holderOfGuard, parentOf, treeOf } from "../support/processes.ts";
import type { Target } from "./perform.ts";

/** Less, and more, than three failed probes, a lost actor's patience and an activity's heartbeat timeout of 6 s. */
const freezeMs = [2_000, 9_000] as const;
/** Somebody else has the proxy's port for this long. */
const portStolenForMs = 3_000;
const portTriesMax = 100;
const portEveryMs = 20;

const ignore = (): undefined => undefined;

/** What is to be struck may be gone by then: that is no error. */
export function strike(pid: number | undefined, signal: NodeJS.Signals): string {
  if (pid === undefined || pid === 0) return "nothing there";
  try {
    process.kill(pid, signal);
    return `${signal} to ${pid}`;
  } catch {
    return "it had just ended";
  }
}

/** SIGSTOP, and SIGCONT after a while that depends on `pick`. */
export async function freeze(pid: number | undefined, pick: number): Promise<string> {
  const forMs = freezeMs[pick % freezeMs.length] ?? 0;
  const first = strike(pid, "SIGSTOP");
  await sleep(forMs);
  strike(pid, "SIGCONT");
  return `${first} for ${forMs / 1_000} s`;
}

/** One of the job's engines that run: its pid, its guard's and its actor's. */
export async function pidsOfEngine({ rig, spec }: Target, pick: number) {
  const seen = await rig.agent.call("list", { job: spec.name }).catch(ignore);
  const running = seen?.replicas.flatMap(({ pid }) => pid ?? []) ?? [];
  const engine = running[pick % Math.max(1, running.length)];
  if (engine === undefined) return {};
  return {
    engine,
    core: childrenOf(engine)[0]?.pid,
    guard: parentOf(engine),
    actor: holderOfGuard(engine),
  };
}

export async function proxyPid({ rig, spec }: Target): Promise<number | undefined> {
  const seen = await rig.agent.call("list", { job: spec.name }).catch(ignore);
  // While one takes over from another, the one that clients come to.
  return seen?.proxies.toSorted((a, b) => b.generation - a.generation)[0]?.pid;
}

export const agentPid = ({ rig }: Target): number | undefined =>
  childrenOf(rig.stack.workerPid()).find(({ command }) => command.includes("pdjob_agent"))?.pid;

/** Of a node of Ray, given the pid of its `ray start`. */
export const partOfNode = (node: number, program: "raylet" | "gcs_server"): number | undefined =>
  treeOf(node).find(({ command }) => command.split(" ", 1)[0]?.endsWith(`/${program}`))?.pid;

/** Kills the actor that holds the proxy's port, and listens there before its successor can. */
export async function stealProxyPort(target: Target): Promise<string> {
  const { port } = target.spec.scheduler;
  const proxy = await proxyPid(target);
  const done = strike(proxy === undefined ? undefined : holderOfGuard(proxy), "SIGKILL");
  const thief = createServer((request) => request.socket.destroy());
  for (let turn = 0; turn < portTriesMax && !thief.listening; turn++) {
    thief.once("error", ignore).listen(port, "0.0.0.0");
    await sleep(portEveryMs);
  }
  const isTaken = thief.listening;
  if (isTaken) await sleep(portStolenForMs);
  thief.close();
  thief.closeAllConnections();
  return `${done}, port ${port} ${isTaken ? "taken" : "not to be had"}`;
}
