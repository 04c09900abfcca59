import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import {
  childrenOf,
  holderOfGuard,
  isProcess,
  parentOf,
  stateOfProcess,
  treeOf,
} from "../support/processes.ts";
import type { Target } from "./perform.ts";

/** Less, and more, than three failed probes, a lost actor's patience and an activity's heartbeat timeout of 6 s. */
const freezeMs = [2_000, 9_000] as const;
/** A step that comes too early for what it is to strike waits for it so long. */
const thereWithinMs = 15_000;
/** A signal has its effect by then, on a busy machine too. */
const effectWithinMs = 3_000;
const lookEveryMs = 20;
/** Somebody else has the proxy's port for this long. */
const portStolenForMs = 3_000;
const portTriesMax = 100;
const portEveryMs = 20;

/** What became of one blow. `struck` is what was seen of it, not that it was sent. */
export interface Blow {
  readonly struck: boolean;
  readonly text: string;
}

const ignore = (): undefined => undefined;

const effects = {
  SIGKILL: (pid: number) => !isProcess(pid),
  SIGSTOP: (pid: number) => stateOfProcess(pid) === "T",
} as const;

/** What is to be struck may be gone by then: that is no error, but no blow either. */
export async function strike(pid: number | undefined, signal: keyof typeof effects): Promise<Blow> {
  if (!pid) return { struck: false, text: "nothing there" };
  if (!isProcess(pid)) return { struck: false, text: `${pid} had just ended` };
  try {
    process.kill(pid, signal);
  } catch {
    return { struck: false, text: `${pid} had just ended` };
  }
  const untilMs = Date.now() + effectWithinMs;
  while (!effects[signal](pid) && Date.now() < untilMs) await sleep(lookEveryMs);
  return effects[signal](pid)
    ? { struck: true, text: `${signal} to ${pid}` }
    : { struck: false, text: `${signal} to ${pid} without effect` };
}

/** SIGSTOP, and SIGCONT after a while that depends on `pick`. */
export async function freeze(pid: number | undefined, pick: number): Promise<Blow> {
  const forMs = freezeMs[pick % freezeMs.length] ?? 0;
  const { struck, text } = await strike(pid, "SIGSTOP");
  if (!struck || pid === undefined) return { struck, text };
  await sleep(forMs);
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    // It was ended for not answering.
  }
  return { struck, text: `${text} for ${forMs / 1_000} s` };
}

/** One of the job's engines that run: its name, its pid, its guard's and its actor's. While none does, soon. */
export async function engineOf({ rig, spec }: Target, pick: number) {
  const running = await soon(async () => {
    const seen = await rig.agent.call("list", { job: spec.name });
    const found = seen.replicas.filter(({ pid }) => pid !== undefined);
    return found.length > 0 ? found : undefined;
  }, []);
  const chosen = running[pick % Math.max(1, running.length)];
  if (chosen?.pid === undefined) return { names: [] };
  return {
    names: [chosen.name],
    engine: chosen.pid,
    core: childrenOf(chosen.pid)[0]?.pid,
    guard: parentOf(chosen.pid),
    actor: holderOfGuard(chosen.pid),
  };
}

/** Names of the engines on a node, by its index; of all nodes without one. Fails while nobody can tell. */
export async function enginesOn({ rig, spec }: Target, node?: number): Promise<readonly string[]> {
  const ip = node === undefined ? undefined : rig.stack.nodes[node]?.ip;
  const { placementGroups } = await eventually(
    "Ray says who is where",
    () => rig.agent.call("list", { job: spec.name }),
    thereWithinMs,
  );
  return placementGroups
    .filter(({ nodeIps }) => ip === undefined || nodeIps.includes(ip))
    .map(({ name }) => name);
}

/** The proxy that clients come to, also while one takes over from another; while none runs, soon. */
export const proxyOf = ({ rig, spec }: Target) =>
  soon<{ readonly name?: string; readonly pid?: number }>(async () => {
    const seen = await rig.agent.call("list", { job: spec.name });
    const [newest] = seen.proxies.toSorted((a, b) => b.generation - a.generation);
    return newest?.pid === undefined ? undefined : { name: newest.name, pid: newest.pid };
  }, {});

/** What a first deployment, or a repair, brings in a moment. */
const soon = <T>(look: () => Promise<T | undefined>, otherwise: T): Promise<T> =>
  eventually<T | undefined>("it is there", look, thereWithinMs).catch(() => otherwise);

export const agentPid = ({ rig }: Target): number | undefined =>
  childrenOf(rig.stack.workerPid()).find(({ command }) => command.includes("-m pdjob_agent"))?.pid;

/** Of a node of Ray, given the pid of its `ray start`. */
export const partOfNode = (node: number, program: "raylet" | "gcs_server"): number | undefined =>
  treeOf(node).find(({ command }) => command.split(" ", 1)[0]?.endsWith(`/${program}`))?.pid;

/** Kills the actor that holds the proxy's port, and listens there before its successor can. */
export async function stealProxyPort(target: Target, pid: number | undefined): Promise<Blow> {
  const { port } = target.spec.scheduler;
  const { struck, text } = await strike(
    pid === undefined ? undefined : holderOfGuard(pid),
    "SIGKILL",
  );
  const thief = createServer((request) => request.socket.destroy());
  for (let turn = 0; turn < portTriesMax && !thief.listening; turn++) {
    thief.once("error", ignore).listen(port, "0.0.0.0");
    await sleep(portEveryMs);
  }
  const isTaken = thief.listening;
  if (isTaken) await sleep(portStolenForMs);
  thief.close();
  thief.closeAllConnections();
  return {
    struck: struck && isTaken,
    text: `${text}, port ${port} ${isTaken ? "taken" : "not to be had"}`,
  };
}
