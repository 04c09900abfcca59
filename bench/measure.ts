import type { Contender, Running, World } from "./contender.ts";
import { tell } from "./contenders/pdjob.ts";
import { sleep, treeOf } from "./program.ts";
import { shapes } from "./scenario.ts";
import type { Mode, Sample, ScenarioName } from "./scenario.ts";
import { median, orderOf } from "./statistics.ts";
import { countsOf } from "./wire.ts";
import type { Load, Wire } from "./wire.ts";

/** Between telling the proxy of a newcomer and asking the newcomer whether it had a request. */
const lookMs = 20;

export interface Entrant {
  readonly contender: Contender;
  readonly running: Running;
}

interface Measuring {
  readonly wire: Wire;
  readonly world: World;
  readonly mode: Mode;
  readonly entrants: readonly Entrant[];
  /** After each measurement. */
  readonly told: (sample: Sample) => void;
}

/** All rounds of one scenario, contenders interleaved. */
export async function measure(
  { wire, world, mode, entrants, told }: Measuring,
  scenario: ScenarioName,
  before: readonly Sample[],
): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const perSecond = scenario === "half-rate" ? halfOfMax(before) : undefined;
  const shape = { ...shapes[scenario], ...(perSecond === undefined ? {} : { perSecond }) };
  const taking = entrants.filter(({ contender }) => takesPart(contender, scenario));
  const loadOf = ({ port, pid }: Running): Load => {
    const pids = pid === undefined ? [] : treeOf(pid);
    const { warmUpMs, windowMs, cpuMinMs, rampMs } = mode;
    return { port, pids, warmUpMs, windowMs, cpuMinMs, rampMs, ...shape };
  };
  for (const { running } of taking.filter(({ contender }) => contender.warmsUp))
    await wire.load({ ...loadOf(running), windowMs: mode.firstMs });
  for (let round = 0; round < mode.rounds; round++)
    for (const { contender, running } of orderOf(taking, round)) {
      const isChange = scenario === "membership";
      const change = isChange ? changeMembers(world, { round, mode }) : Promise.resolve({});
      const [result, changed] = await Promise.all([wire.load(loadOf(running)), change]);
      const sample = { scenario, contender: contender.name, round, ...result, ...changed };
      samples.push(sample);
      told(sample);
    }
  return samples;
}

const takesPart = ({ name, hops }: Contender, scenario: ScenarioName): boolean => {
  if (scenario === "membership") return name === "pdjob";
  // At half of ours the toy proxy has long been drowned.
  return scenario !== "half-rate" || (hops > 0 && name !== "toy");
};

/** Requests per second. */
function halfOfMax(samples: readonly Sample[]): number {
  const ours = samples.filter(
    ({ scenario, contender }) => scenario === "request" && contender === "pdjob",
  );
  if (ours.length === 0) throw new Error("half-rate needs the figures of request: measure both");
  return median(ours.map(({ requests, seconds }) => requests / seconds)) / 2;
}

/** In the middle of the window a decode engine comes that was not there, and goes before its end. */
async function changeMembers(
  world: World,
  { round, mode }: { readonly round: number; readonly mode: Mode },
): Promise<{ readonly firstRequestMs: number }> {
  const newcomer = world.sparePorts[round] ?? 0;
  await sleep(mode.warmUpMs + mode.windowMs / 4);
  const toldMs = nowMs();
  await tell(world, 2 + 2 * round, [...world.decodePorts, newcomer]);
  const untilMs = toldMs + mode.windowMs / 4;
  let firstUs = 0;
  while (firstUs === 0 && nowMs() < untilMs) {
    await sleep(lookMs);
    ({ firstUs } = await countsOf(newcomer));
  }
  await sleep(Math.max(0, untilMs - nowMs()));
  await tell(world, 3 + 2 * round, world.decodePorts);
  return { firstRequestMs: firstUs === 0 ? Number.POSITIVE_INFINITY : firstUs / 1_000 - toldMs };
}

/** Unix time. */
const nowMs = (): number => performance.timeOrigin + performance.now();
