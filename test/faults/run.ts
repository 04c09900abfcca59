import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import type { ScaleRequest } from "../../src/domain/scale.ts";
import { roles } from "../../src/domain/role.ts";
import { eventually } from "../support/eventually.ts";
import { leftOf, rigSpec, untilPhase } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { startLoad } from "./load.ts";
import type { Outcome } from "./load.ts";
import { perform, restartedRole } from "./perform.ts";
import type { Target } from "./perform.ts";
import type { Respawner } from "./respawn.ts";
import { mayCostRequests, scheduleOf } from "./schedule.ts";
import type { Step } from "./schedule.ts";
import { oddities, watchInvariants } from "./watch.ts";

/** After a harmful step, what it broke may still show in requests for this long: noticing, membership, retries. */
const harmLastsMs = 20_000;
/** From the last step to READY with the wanted counts. */
const settleMs = 120_000;
const engine = fileURLToPath(new URL("engine.sh", import.meta.url));

export interface Report {
  readonly seed: number;
  /** What was done, with when, for people who look into a failure. */
  readonly story: readonly string[];
  readonly violations: readonly string[];
  readonly requests: Readonly<Record<Outcome["kind"], number>>;
}

/** One job from start to stop, with everything that the seed says happening to it under load. */
export async function runSeed(
  rig: OwnRig,
  respawner: Respawner,
  { seed, steps }: { readonly seed: number; readonly steps: number },
): Promise<Report> {
  const name = `seed-${seed}`;
  const controlFile = join(rig.dir, `switches-${seed}`);
  const spec = await rigSpec(rig, name, {
    engineCommand: ["bash", engine, controlFile, "serve"],
    restart: { restartsMax: 50, windowS: 600 },
    health: { intervalS: 1, timeoutS: 1, failures: 3 },
    drainS: { prefill: 5, decode: 5 },
    prefill: { replicas: 2, numGpus: 1 },
    decode: { replicas: 2, numGpus: 1 },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, name, "READY", settleMs);
  const wanted = { prefill: 2, decode: 2 };
  const signal = (request: ScaleRequest) => sendScale(rig, name, request);
  const violations: string[] = [];
  const target: Target = { rig, spec, controlFile, wanted, respawner, signal, violations };
  const watch = watchInvariants(rig, spec);
  const load = startLoad(spec);
  const story: string[] = [];
  const harms: Harm[] = [];
  for (const step of scheduleOf(seed, steps)) {
    await sleep(step.afterMs);
    harms.push(await performAndNote(step, target, story));
  }
  const unsettled = await settled(target).then(
    () => [],
    (error: Error) => [error.message],
  );
  const settledMs = Date.now();
  const outcomes = await load.stop();
  violations.push(...(await watch.stop()), ...unsettled, ...judge(outcomes, harms, settledMs));
  violations.push(...(await stopAndLook(target)));
  return { seed, story, violations, requests: count(outcomes) };
}

/** As an ops script does: the temporal CLI, until the server has taken it. */
async function sendScale({ stack }: OwnRig, job: string, request: ScaleRequest): Promise<void> {
  const { path } = await findTemporal();
  const words = ["workflow", "signal", "-w", `pdjob-${job}`, "--name", "scaleTo"];
  const argv = [...words, "--input", JSON.stringify(request), "--address", stack.temporalAddress];
  await eventually(
    "the signal is taken",
    async () => !(await execa(path, argv, { reject: false })).failed,
  );
}

interface Harm {
  readonly fromMs: number;
  readonly untilMs: number;
}

async function performAndNote(step: Step, target: Target, story: string[]): Promise<Harm> {
  const fromMs = Date.now();
  const harm = (await takesRoleAway(step, target)) ? "until" : mayCostRequests(step);
  const done = await perform(step, target).catch((error: Error) => `failed: ${error.message}`);
  story.push(`${new Date(fromMs).toISOString()} ${step.kind}: ${done}`);
  const lasts = { never: 0, while: harmLastsMs, until: Number.POSITIVE_INFINITY };
  return { fromMs, untilMs: harm === "never" ? fromMs : Date.now() + lasts[harm] };
}

/** Does it restart the only replica that serves a role? */
async function takesRoleAway(step: Step, { rig, spec, wanted }: Target): Promise<boolean> {
  if (step.kind !== "restartReplica") return false;
  const { ready } = await rig.client.status(spec.name).catch(() => ({ ready: wanted }));
  return ready[restartedRole(step)] <= 1;
}

/** READY with what was asked for last, and in truth: in Ray, in the proxy and among the processes. */
const settled = ({ rig, spec, wanted }: Target): Promise<unknown> =>
  eventually(
    `READY with prefill=${wanted.prefill} decode=${wanted.decode}`,
    async () => {
      const status = await rig.client.status(spec.name);
      const isWanted = roles.every((role) => status.ready[role] === wanted[role]);
      const count = wanted.prefill + wanted.decode;
      const isSaid = status.phase === "READY" && isWanted && status.replicas.length === count;
      const odd = await oddities(rig, spec, wanted);
      if (isSaid && odd.length === 0) return true;
      throw new Error(
        `${status.phase}: ${status.reason}; in flight: ${status.inFlight.join(", ")}; ${odd.join(", ")}`,
      );
    },
    settleMs,
  );

/** Nothing is ever cut short in silence; an explicit error needs a harmful step that explains it. */
function judge(
  outcomes: readonly Outcome[],
  harms: readonly Harm[],
  settledMs: number,
): readonly string[] {
  return outcomes.flatMap(({ kind, text, startedMs, endedMs }) => {
    if (kind === "ok") return [];
    const isExplained = harms.some(
      ({ fromMs, untilMs }) =>
        untilMs > fromMs && startedMs <= Math.min(untilMs, settledMs) && endedMs >= fromMs,
    );
    if (kind === "error" && isExplained) return [];
    const word = kind === "silent" ? "cut short in silence" : "failed without a reason";
    return [`a request ${word} at ${new Date(endedMs).toISOString()}: ${text}`];
  });
}

const count = (outcomes: readonly Outcome[]): Report["requests"] => ({
  ok: outcomes.filter(({ kind }) => kind === "ok").length,
  error: outcomes.filter(({ kind }) => kind === "error").length,
  silent: outcomes.filter(({ kind }) => kind === "silent").length,
});

async function stopAndLook({ rig, spec }: Target): Promise<readonly string[]> {
  await rig.client.stop(spec.name);
  await rig.client.result(spec.name);
  const left = await leftOf(rig, spec);
  return left.map((one) => `${one} was left after stop`);
}
