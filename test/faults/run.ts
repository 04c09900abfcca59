import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import { parseIncarnation } from "../../src/domain/names.ts";
import type { ScaleRequest } from "../../src/domain/scale.ts";
import { roles } from "../../src/domain/role.ts";
import type { Role } from "../../src/domain/role.ts";
import { eventually } from "../support/eventually.ts";
import { leftOf, rigSpec } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { evidenceOf } from "./evidence.ts";
import { startLoad } from "./load.ts";
import { perform, restartedRole } from "./perform.ts";
import type { Deed, Target } from "./perform.ts";
import type { Respawner } from "./respawn.ts";
import { judgeRequests, noticedWithinMs } from "./rules/amnesty.ts";
import type { Outcome } from "./rules/amnesty.ts";
import { servingOf } from "./rules/judge.ts";
import { costOf, firstFaultOf, scheduleOf } from "./rules/schedule.ts";
import type { Step } from "./rules/schedule.ts";
import type { Attempt } from "./rules/tally.ts";
import { oddities, watchInvariants } from "./watch.ts";
import type { OpenStrike } from "./watch.ts";

/** From the last step to READY with the wanted counts. */
const settleMs = 120_000;
/** From a start that something befell to READY or FAILED: longer than the job's own `timeout`. */
const deployedMs = 150_000;
/** A request that came in the last moment is answered, and its stream is over. */
const lastSampleMs = 500;
const engine = fileURLToPath(new URL("engine.sh", import.meta.url));

export interface Report {
  readonly seed: number;
  /** What was done, with when, and what the job says of it, for people who look into a failure. */
  readonly story: readonly string[];
  /** Of each step whether it struck. */
  readonly attempts: readonly Attempt[];
  readonly violations: readonly string[];
  readonly requests: Readonly<Record<Outcome["kind"], number>>;
}

/** A step that was done, and how it is told of. */
interface Entry {
  readonly step: Step;
  readonly atMs: number;
  readonly deed: Deed;
}

/** One job from start to stop, with everything that the seed says happening to it, under load once it serves. */
export async function runSeed(
  rig: OwnRig,
  respawner: Respawner,
  { seed, steps }: { readonly seed: number; readonly steps: number },
): Promise<Report> {
  const target = await targetOf(rig, respawner, seed);
  const { spec, violations } = target;
  const entries: Entry[] = [];
  const strikes: OpenStrike[] = [];
  const watch = watchInvariants(rig, spec, strikes);
  // Without a job that serves there is nothing to go on with, but a story to tell, and a watch to end.
  const undeployed = await problemsOf(deploy(firstFaultOf(seed), target, entries));
  violations.push(...undeployed);
  const play = () => playUnderLoad(scheduleOf(seed, steps), { target, entries, strikes });
  const outcomes = undeployed.length > 0 ? [] : await play();
  violations.push(...(await watch.stop()), ...judgeRequests(outcomes, strikes));
  const evidence = violations.length > 0 ? await evidenceOf(target) : [];
  violations.push(...(await stopAndLook(target)));
  const attempts = entries.map(({ step: { kind }, deed }) => ({ kind, struck: hasStruck(deed) }));
  const story = [...entries.map(tell), ...evidence];
  return { seed, story, attempts, violations, requests: count(outcomes) };
}

interface Play {
  readonly target: Target;
  readonly entries: Entry[];
  readonly strikes: OpenStrike[];
}

/** From the first step until the job is at rest again. */
async function playUnderLoad(steps: readonly Step[], play: Play): Promise<readonly Outcome[]> {
  const { target, entries, strikes } = play;
  const load = startLoad(target.spec);
  for (const step of steps) {
    await sleep(step.afterMs);
    await performAndNote(step, target, entries, strikes);
  }
  target.violations.push(...(await problemsOf(settled(target))));
  await sleep(lastSampleMs);
  return load.stop();
}

/** None when it succeeds. */
const problemsOf = (done: Promise<unknown>): Promise<readonly string[]> =>
  done.then(
    () => [],
    (error: Error) => [error.message],
  );

async function targetOf(rig: OwnRig, respawner: Respawner, seed: number): Promise<Target> {
  const name = `seed-${seed}`;
  const switches = join(rig.dir, `switches-${seed}`);
  mkdirSync(switches, { recursive: true });
  const spec = await rigSpec(rig, name, {
    engineCommand: ["bash", engine, switches, "serve"],
    restart: { restartsMax: 50, windowS: 600 },
    health: { intervalS: 1, timeoutS: 1, failures: 3, stallS: 5 },
    drainS: { prefill: 5, decode: 5 },
    prefill: { replicas: 2, numGpus: 1 },
    decode: { replicas: 2, numGpus: 1 },
  });
  const wanted = { prefill: 2, decode: 2 };
  const signal = (request: ScaleRequest) => sendScale(rig, name, request);
  return { rig, spec, switches, wanted, respawner, signal, violations: [] };
}

const hasStruck = ({ struck }: Deed): boolean => (typeof struck === "function" ? struck() : struck);

const tell = ({ step, atMs, deed }: Entry): string =>
  `${new Date(atMs).toISOString()} ${step.kind}${hasStruck(deed) ? "" : " (missed)"}: ${deed.text}`;

/** What befalls a first deployment may end it FAILED: then nothing of it is left, and the next start is as any other. */
async function deploy(step: Step, target: Target, entries: Entry[]): Promise<void> {
  const { rig, violations, switches } = target;
  const { name } = target.spec;
  await rig.client.start(target.spec);
  await sleep(step.afterMs);
  await performAndNote(step, target, entries, []);
  if (await isDeployed(target)) return;
  const left = await leftOf(rig, target.spec);
  violations.push(...left.map((what) => `${what} was left after the first deployment failed`));
  for (const file of readdirSync(switches)) rmSync(join(switches, file)); // Nobody came for them.
  await rig.client.start(target.spec);
  if (!(await isDeployed(target))) throw new Error(`${name} failed, and then failed undisturbed`);
}

/** READY; false when it FAILED and its workflow has ended. */
const isDeployed = async ({ rig, spec: { name } }: Target): Promise<boolean> => {
  const phase = await eventually(
    `${name} is READY, or FAILED`,
    async () => {
      const { phase: now, reason } = await rig.client.status(name);
      if (now === "READY") return now;
      if (now === "FAILED" && !(await rig.client.isRunning(name))) return now;
      throw new Error(`${now}: ${reason}`);
    },
    deployedMs,
  );
  return phase === "READY";
};

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

async function performAndNote(
  step: Step,
  target: Target,
  entries: Entry[],
  strikes: OpenStrike[],
): Promise<void> {
  const atMs = Date.now();
  const serving = await servingNow(target, strikes);
  const deed = await perform(step, target).catch((error: Error): Deed => {
    target.violations.push(`${step.kind} could not be done: ${error.message}`);
    return { struck: false, text: `failed: ${error.message}` };
  });
  entries.push({ step, atMs, deed });
  if (!hasStruck(deed)) return;
  const { engines = [], proxyPid, doneMs: untilMs = Date.now() } = deed;
  const isRoleLost = roles.some((role) =>
    isLost(role, serving[role], takenBy(step, deed, serving)),
  );
  const strike = { kind: step.kind, cost: costOf(step.kind), engines, proxyPid };
  strikes.push({ ...strike, isRoleLost, fromMs: atMs, untilMs });
}

type Serving = Readonly<Record<Role, readonly string[]>>;

/** Who serves no more because of a step: those that it struck, or the one that it restarts. */
const takenBy = (step: Step, { engines = [] }: Deed, serving: Serving): readonly string[] =>
  step.kind === "restartReplica"
    ? serving[restartedRole(step)].filter((name) => parseIncarnation(name)?.index === 0)
    : engines;

const isLost = (role: Role, serving: readonly string[], taken: readonly string[]): boolean =>
  taken.some((name) => parseIncarnation(name)?.role === role) &&
  serving.every((name) => taken.includes(name));

/** Members that serve and were not struck a moment ago, by role: once none is left, nobody can answer. */
async function servingNow({ rig, spec }: Target, strikes: readonly OpenStrike[]): Promise<Serving> {
  const recent = strikes.filter(({ untilMs }) => Date.now() < untilMs + noticedWithinMs);
  const struck = new Set(recent.flatMap(({ engines }) => engines));
  const seen = await rig.agent.call("list", { job: spec.name }).catch(() => undefined);
  return seen ? servingOf(seen, struck) : { prefill: [], decode: [] };
}

/** READY with what was asked for last, and in truth: in Ray, in the proxy and among the processes. */
const settled = ({ rig, spec, wanted }: Target): Promise<unknown> =>
  eventually(
    `READY with prefill=${wanted.prefill} decode=${wanted.decode}`,
    async () => {
      const status = await rig.client.status(spec.name);
      const isWanted = roles.every((role) => status.ready[role] === wanted[role]);
      const counted = wanted.prefill + wanted.decode;
      const isSaid = status.phase === "READY" && isWanted && status.replicas.length === counted;
      const odd = await oddities(rig, spec, wanted);
      if (isSaid && odd.length === 0) return true;
      throw new Error(
        `${status.phase}: ${status.reason}; in flight: ${status.inFlight.join(", ")}; ${odd.join(", ")}`,
      );
    },
    settleMs,
  );

const count = (outcomes: readonly Outcome[]): Report["requests"] => ({
  ok: outcomes.filter(({ kind }) => kind === "ok").length,
  error: outcomes.filter(({ kind }) => kind === "error").length,
  silent: outcomes.filter(({ kind }) => kind === "silent").length,
});

async function stopAndLook({ rig, spec }: Target): Promise<readonly string[]> {
  const { client } = rig;
  const problems = await problemsOf(client.stop(spec.name).then(() => client.result(spec.name)));
  const left = await leftOf(rig, spec);
  return [...problems, ...left.map((one) => `${one} was left after stop`)];
}
