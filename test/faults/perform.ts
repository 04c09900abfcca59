import type { JobSpec } from "../../src/domain/spec.ts";
import type { Role } from "../../src/domain/role.ts";
import type { ScaleRequest } from "../../src/domain/scale.ts";
import type { OwnRig } from "../support/rig.ts";
import { fullDiskForProxyLog, switchNextEngine } from "./boots.ts";
import { applyChange, restart, scale, stopAndStart, undoChange } from "./operate.ts";
import { raceForGpus } from "./race.ts";
import { temporalPid } from "./respawn.ts";
import type { Respawner } from "./respawn.ts";
import type { Step } from "./rules/schedule.ts";
import {
  agentPid,
  engineOf,
  enginesOn,
  freeze,
  partOfNode,
  proxyOf,
  stealProxyPort,
  strike,
} from "./strike.ts";
import type { Blow } from "./strike.ts";

const slowBootMs = 6_000;
/** The head is down for less, and more, than a supervisor needs. */
const headDownMs = [0, 3_000] as const;

export interface Target {
  readonly rig: OwnRig;
  /** As it is wanted now. */
  spec: JobSpec;
  /** Folder whose files are the switches that the next engines take, one each. */
  readonly switches: string;
  /** Counts that were asked for last. */
  readonly wanted: Record<Role, number>;
  readonly respawner: Respawner;
  /** Sends `scaleTo`, again and again while the server is away. */
  readonly signal: (request: ScaleRequest) => Promise<void>;
  /** What a step itself finds broken. */
  readonly violations: string[];
}

/** What one step did. */
export interface Deed extends Omit<Blow, "struck"> {
  /** Whether it hit what it was meant for; a function where only time tells. */
  readonly struck: boolean | (() => boolean);
  /** Incarnations of the engines that it hit. */
  readonly engines?: readonly string[];
  /** The proxy's process before it, where it hit that. */
  readonly proxyPid?: number | undefined;
  /** When the blow was over, where the step waited for what came of it. */
  readonly doneMs?: number | undefined;
}

/** Whose first replica a step restarts. */
export const restartedRole = ({ pick }: Step): Role => (pick % 2 === 0 ? "prefill" : "decode");

/** Does one step to the real stack. What it wants to hit may be gone by then: that is no error. */
export async function perform(step: Step, target: Target): Promise<Deed> {
  const { kind, pick } = step;
  const { rig, respawner } = target;
  const node = pick % rig.stack.nodes.length;
  switch (kind) {
    case "scaleDecode":
    case "scalePrefill":
      return scale(kind === "scaleDecode" ? "decode" : "prefill", 1 + (pick % 3), target);
    case "restartReplica":
      return restart(`${restartedRole(step)}-0`, target);
    case "restartProxy":
      return restart("proxy", target);
    case "apply":
      return applyChange(pick, target);
    case "undo":
      return undoChange(pick, target);
    case "stopAndStart":
      return stopAndStart(target);
    case "killEngine":
    case "killEngineCore":
    case "hangEngine":
    case "freezeCore":
    case "killGuard":
    case "freezeGuard":
    case "killActor":
    case "freezeActor":
      return onEngine(kind, pick, target);
    case "killProxy":
    case "freezeProxy":
    case "stealProxyPort":
    case "fullDiskForProxyLog":
      return onProxy(kind, pick, target);
    case "killNode":
    case "killRaylet":
    case "killHead":
    case "loseRay":
      return onRay(kind, { node, pick }, target);
    case "freezeRaylet":
      return freeze(partOfNode(respawner.pids.nodes[node] ?? 0, "raylet"), pick);
    case "freezeGcs":
      return freeze(partOfNode(respawner.pids.head, "gcs_server"), pick);
    case "killAgent":
      return strike(agentPid(target), "SIGKILL");
    case "freezeAgent":
      return freeze(agentPid(target), pick);
    case "killWorker":
      return strike(rig.stack.workerPid(), "SIGKILL");
    case "freezeWorker":
      return freeze(rig.stack.workerPid(), pick);
    case "killTemporal":
      return { struck: true, text: await respawner.temporal() };
    case "freezeTemporal":
      return freeze(temporalPid(rig), pick);
    case "raceForGpus":
      return raceForGpus(pick, target);
    case "failNextBoot":
      return switchNextEngine(
        "export PDJOB_SIM_BOOT_FAILURE='CUDA out of memory (pretended)'",
        target,
      );
    case "slowNextBoot":
      return switchNextEngine(`export PDJOB_SIM_BOOT_MS=${slowBootMs}`, target);
    case "stealNextPort":
      return switchNextEngine("steal_port=yes", target);
    case "fullDiskForNextLog":
      return switchNextEngine("full_disk=yes", target);
  }
}

type EngineFault =
  | "killEngine"
  | "killEngineCore"
  | "hangEngine"
  | "freezeCore"
  | "killGuard"
  | "freezeGuard"
  | "killActor"
  | "freezeActor";

async function onEngine(kind: EngineFault, pick: number, target: Target): Promise<Deed> {
  const { names: engines, engine, core, guard, actor } = await engineOf(target, pick);
  const blow = await {
    killEngine: () => strike(engine, "SIGKILL"),
    killEngineCore: () => strike(core, "SIGKILL"),
    hangEngine: () => strike(engine, "SIGSTOP"),
    // For good, as a kernel that never comes back: /health is answered, and no token comes any more.
    freezeCore: () => strike(core, "SIGSTOP"),
    killGuard: () => strike(guard, "SIGKILL"),
    freezeGuard: () => freeze(guard, pick),
    killActor: () => strike(actor, "SIGKILL"),
    freezeActor: () => freeze(actor, pick),
  }[kind]();
  return { ...blow, text: `${engines.join()} ${blow.text}`, engines };
}

type ProxyFault = "killProxy" | "freezeProxy" | "stealProxyPort" | "fullDiskForProxyLog";

async function onProxy(kind: ProxyFault, pick: number, target: Target): Promise<Deed> {
  const { name, pid } = await proxyOf(target);
  switch (kind) {
    case "killProxy":
      return { ...(await strike(pid, "SIGKILL")), proxyPid: pid };
    case "freezeProxy":
      return freeze(pid, pick);
    case "stealProxyPort":
      return { ...(await stealProxyPort(target, pid)), proxyPid: pid };
    case "fullDiskForProxyLog":
      return { ...(await fullDiskForProxyLog(target, name, pid)), proxyPid: pid };
  }
}

type RayFault = "killNode" | "killRaylet" | "killHead" | "loseRay";

/** What is struck is read before it is; afterwards nobody knows. */
async function onRay(
  kind: RayFault,
  { node, pick }: { readonly node: number; readonly pick: number },
  target: Target,
): Promise<Deed> {
  const { respawner } = target;
  switch (kind) {
    case "killNode": {
      const engines = await enginesOn(target, node);
      return { struck: true, text: `${await respawner.node(node)}, ${engines.join()}`, engines };
    }
    case "killRaylet": {
      const engines = await enginesOn(target, node);
      const raylet = partOfNode(respawner.pids.nodes[node] ?? 0, "raylet");
      if (raylet === undefined) return { struck: false, text: "no raylet there" };
      const text = `${await respawner.raylet(node, raylet)}, ${engines.join()}`;
      return { struck: true, text, engines };
    }
    case "killHead": {
      const { pid: proxyPid } = await proxyOf(target);
      const downMs = headDownMs[pick % headDownMs.length] ?? 0;
      await respawner.head({ downMs });
      return { struck: true, text: `the head is now ${respawner.pids.head}`, proxyPid };
    }
    case "loseRay": {
      const engines = await enginesOn(target);
      const { pid: proxyPid } = await proxyOf(target);
      return { struck: true, text: await respawner.ray(), engines, proxyPid };
    }
  }
}
