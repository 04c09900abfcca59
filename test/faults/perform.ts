import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Role } from "../../src/domain/role.ts";
import type { ScaleRequest } from "../../src/domain/scale.ts";
import { leftOf, rigSpec } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { temporalPid } from "./respawn.ts";
import type { Respawner } from "./respawn.ts";
import type { Step } from "./schedule.ts";
import {
  agentPid,
  freeze,
  partOfNode,
  pidsOfEngine,
  proxyPid,
  stealProxyPort,
  strike,
} from "./strike.ts";

const slowBootMs = 6_000;
/** How long other jobs hold GPUs that this one may want. */
const raceForMs = 5_000;

export interface Target {
  readonly rig: OwnRig;
  readonly spec: JobSpec;
  /** File that the next engine reads its switches from. */
  readonly controlFile: string;
  /** Counts that were asked for last. */
  readonly wanted: Record<Role, number>;
  readonly respawner: Respawner;
  /** Sends `scaleTo`, again and again while the server is away. */
  readonly signal: (request: ScaleRequest) => Promise<void>;
  /** What a step itself finds broken. */
  readonly violations: string[];
}

/** Whose first replica a step restarts. */
export const restartedRole = ({ pick }: Step): Role => (pick % 2 === 0 ? "prefill" : "decode");

/** Does one step to the real stack. What it wants to hit may be gone by then: that is no error. */
export async function perform(step: Step, target: Target): Promise<string> {
  const { kind, pick } = step;
  const { rig, respawner } = target;
  const node = pick % rig.stack.nodes.length;
  const engine = (): ReturnType<typeof pidsOfEngine> => pidsOfEngine(target, pick);
  switch (kind) {
    case "scaleDecode":
    case "scalePrefill":
      return scale(kind === "scaleDecode" ? "decode" : "prefill", 1 + (pick % 3), target);
    case "restartReplica":
      return restart(`${restartedRole(step)}-0`, target);
    case "restartProxy":
      return restart("proxy", target);
    case "killEngine":
      return strike((await engine()).engine, "SIGKILL");
    case "killEngineCore":
      return strike((await engine()).core, "SIGKILL");
    case "hangEngine":
      return strike((await engine()).engine, "SIGSTOP");
    case "killGuard":
      return strike((await engine()).guard, "SIGKILL");
    case "freezeGuard":
      return freeze((await engine()).guard, pick);
    case "killActor":
      return strike((await engine()).actor, "SIGKILL");
    case "freezeActor":
      return freeze((await engine()).actor, pick);
    case "killProxy":
      return strike(await proxyPid(target), "SIGKILL");
    case "freezeProxy":
      return freeze(await proxyPid(target), pick);
    case "stealProxyPort":
      return stealProxyPort(target);
    case "killNode":
      return respawner.node(node);
    case "freezeRaylet":
      return freeze(partOfNode(respawner.pids.nodes[node] ?? 0, "raylet"), pick);
    case "freezeGcs":
      return freeze(partOfNode(respawner.pids.head, "gcs_server"), pick);
    case "loseRay":
      return respawner.ray();
    case "killAgent":
      return strike(agentPid(target), "SIGKILL");
    case "freezeAgent":
      return freeze(agentPid(target), pick);
    case "killWorker":
      return strike(rig.stack.workerPid(), "SIGKILL");
    case "freezeWorker":
      return freeze(rig.stack.workerPid(), pick);
    case "killTemporal":
      return respawner.temporal();
    case "freezeTemporal":
      return freeze(temporalPid(rig), pick);
    case "raceForGpus":
      return raceForGpus(pick, target);
    case "failNextBoot":
      return control(target, "export PDJOB_SIM_BOOT_FAILURE='CUDA out of memory (pretended)'");
    case "slowNextBoot":
      return control(target, `export PDJOB_SIM_BOOT_MS=${slowBootMs}`);
    case "stealNextPort":
      return control(target, "steal_port=yes");
    case "fullDiskForNextLog":
      return control(target, "full_disk=yes");
  }
}

async function scale(role: Role, replicas: number, { wanted, signal }: Target): Promise<string> {
  wanted[role] = replicas;
  await signal({ role, replicas });
  return `${role}=${replicas}`;
}

/** Refused while the server is away: a user would try again, or not. */
async function restart(what: string, { rig, spec }: Target): Promise<string> {
  const refusal = await rig.client.restart(spec.name, what).then(
    () => "",
    (error: Error) => ` refused: ${error.message}`,
  );
  return `${what}${refusal}`;
}

function control({ controlFile }: Target, text: string): string {
  writeFileSync(controlFile, `${text}\n`);
  return text;
}

/** Two jobs at once want GPUs that cannot be enough for both, and maybe for a scale-up of ours. Neither may leave anything. */
async function raceForGpus(
  pick: number,
  { rig, spec: { name: job }, violations }: Target,
): Promise<string> {
  const [one, other] = await Promise.all(
    ["left", "right"].map((side) =>
      rigSpec(rig, `${side}-${job}-${pick}`, {
        prefill: { replicas: 1, numGpus: 4 },
        decode: { replicas: 1, numGpus: 4 },
      }),
    ),
  );
  const racers = [one, other].filter((spec) => spec !== undefined);
  await Promise.all(racers.map((spec) => rig.client.start(spec)));
  await sleep(raceForMs);
  const phases = await Promise.all(
    racers.map(async ({ name }) => (await rig.client.status(name)).phase),
  );
  await Promise.all(racers.map(({ name }) => rig.client.stop(name)));
  await Promise.all(racers.map(({ name }) => rig.client.result(name)));
  const left = (await Promise.all(racers.map((spec) => leftOf(rig, spec)))).flat();
  violations.push(...left.map((what) => `a racer left ${what}`));
  return `${phases.join(" and ")}, stopped`;
}
