import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Role } from "../../src/domain/role.ts";
import type { ScaleRequest } from "../../src/domain/scale.ts";
import { childrenOf, holderOfGuard, parentOf } from "../support/processes.ts";
import { rigSpec } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import type { Respawner } from "./respawn.ts";
import type { Step } from "./schedule.ts";

/** The worker is frozen for less, and for more, than its activities' heartbeat timeout of 6 s. */
const freezeMs = [2_000, 9_000] as const;
const slowBootMs = 6_000;
/** How long another job holds GPUs that this one may want. */
const stolenForMs = 5_000;

export interface Target {
  readonly rig: Rig;
  readonly spec: JobSpec;
  /** File that the next engine reads its switches from. */
  readonly controlFile: string;
  /** Counts that were asked for last. */
  readonly wanted: Record<Role, number>;
  readonly respawner: Respawner;
  /** Sends `scaleTo`, again and again while the server is away. */
  readonly signal: (request: ScaleRequest) => Promise<void>;
}

/** Does one step to the real stack. What it wants to hit may be gone by then: that is no error. */
export async function perform({ kind, pick }: Step, target: Target): Promise<string> {
  const { rig, spec, wanted } = target;
  switch (kind) {
    case "scaleDecode":
    case "scalePrefill": {
      const role = kind === "scaleDecode" ? "decode" : "prefill";
      wanted[role] = 1 + (pick % 3);
      await target.signal({ role, replicas: wanted[role] });
      return `${role}=${wanted[role]}`;
    }
    case "restartReplica": {
      const replica = pick % 2 === 0 ? "prefill-0" : "decode-0";
      await rig.client.restart(spec.name, replica).catch(ignore);
      return replica;
    }
    case "restartProxy":
      await rig.client.restart(spec.name, "proxy").catch(ignore);
      return "proxy";
    case "killEngine":
      return hit(await enginePid(target, pick), "SIGKILL");
    case "killEngineCore":
      return hit(childrenOf(await enginePid(target, pick))[0]?.pid, "SIGKILL");
    case "hangEngine":
      return hit(await enginePid(target, pick), "SIGSTOP");
    case "killGuard":
      return hit(parentOf(await enginePid(target, pick)), "SIGKILL");
    case "killActor": {
      const engine = await enginePid(target, pick);
      return hit(engine === undefined ? undefined : holderOfGuard(engine), "SIGKILL");
    }
    case "killProxy": {
      const seen = await rig.agent.call("list", { job: spec.name }).catch(ignore);
      return hit(seen?.proxies[0]?.pid, "SIGKILL");
    }
    case "killNode":
      return target.respawner.node(pick % rig.stack.nodes.length);
    case "killAgent":
      return hit(
        childrenOf(rig.stack.workerPid()).find(({ command }) => command.includes("pdjob_agent"))
          ?.pid,
        "SIGKILL",
      );
    case "killWorker":
      return hit(rig.stack.workerPid(), "SIGKILL");
    case "freezeWorker": {
      const pid = rig.stack.workerPid();
      hit(pid, "SIGSTOP");
      await sleep(freezeMs[pick % 2] ?? 0);
      return hit(pid, "SIGCONT");
    }
    case "killTemporal":
      return target.respawner.temporal();
    case "stealGpus":
      return stealGpus(target, pick);
    case "failNextBoot":
      return control(target, "export PDJOB_SIM_BOOT_FAILURE='CUDA out of memory (pretended)'");
    case "slowNextBoot":
      return control(target, `export PDJOB_SIM_BOOT_MS=${slowBootMs}`);
  }
}

const ignore = (): undefined => undefined;

function hit(pid: number | undefined, signal: NodeJS.Signals): string {
  if (pid === undefined || pid === 0) return "nothing there";
  try {
    process.kill(pid, signal);
    return `${signal} to ${pid}`;
  } catch {
    return "it had just ended";
  }
}

async function enginePid({ rig, spec }: Target, pick: number): Promise<number | undefined> {
  const seen = await rig.agent.call("list", { job: spec.name }).catch(ignore);
  const running = seen?.replicas.flatMap(({ pid }) => pid ?? []) ?? [];
  return running[pick % Math.max(1, running.length)];
}

function control({ controlFile }: Target, text: string): string {
  writeFileSync(controlFile, `${text}\n`);
  return text;
}

/** Another job takes what is free, for a while: a scale-up of ours then waits. */
async function stealGpus({ rig }: Target, pick: number): Promise<string> {
  const name = `thief-${pick}`;
  const spec = await rigSpec(rig, name, {
    numGpus: 8,
    prefill: { replicas: 1, numGpus: 4 },
    decode: { replicas: 1, numGpus: 4 },
  });
  await rig.client.start(spec).catch(ignore);
  await sleep(stolenForMs);
  await rig.client.stop(name).catch(ignore);
  return name;
}
