import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import type { World } from "./contender.ts";
import { direct } from "./contenders/direct.ts";
import { nginx } from "./contenders/nginx.ts";
import { pdjob } from "./contenders/pdjob.ts";
import { router } from "./contenders/router.ts";
import { toy } from "./contenders/toy.ts";
import { figuresOf, verdictsOf } from "./figures.ts";
import { measure } from "./measure.ts";
import type { Entrant } from "./measure.ts";
import type { Options } from "./options.ts";
import { pictureOf } from "./picture.ts";
import { freePorts } from "./program.ts";
import { reportOf, withReport } from "./report.ts";
import type { Run } from "./report.ts";
import { modes, tokenMs } from "./scenario.ts";
import type { Mode, Sample } from "./scenario.ts";
import { buildWire } from "./wire.ts";

export { readOptions, usage } from "./options.ts";

const contenders = [direct, nginx, pdjob, router, toy];
const enginesPerRole = 2;

export interface Bench {
  /** Of the repository. */
  readonly root: string;
  readonly options: Options;
  /** Progress, for a person. */
  readonly say: (line: string) => void;
}

/** Runs everything, and writes what came out to .pdjob/bench (and to docs). Answers with the report. */
export async function bench({ root, options, say }: Bench): Promise<string> {
  const mode = modes[options.mode];
  // Sockets have short paths.
  const dir = mkdtempSync(join(tmpdir(), "pdjob-bench-"));
  const wire = await buildWire(root, dir);
  const world = await worldOf(root, dir, mode);
  const ports = [...world.prefillPorts, ...world.decodePorts, ...world.sparePorts];
  const engines = await wire.startEngines(ports, tokenMs);
  const leftOut: Record<string, string> = {};
  const entrants: Entrant[] = [];
  try {
    for (const contender of contenders.filter(({ name }) => options.contenders.includes(name))) {
      const running = await contender.start(world).catch((error: Error) => error.message);
      if (typeof running !== "string") entrants.push({ contender, running });
      else leftOut[contender.name] = running;
      say(`${contender.name}: ${typeof running === "string" ? `left out, ${running}` : "ready"}`);
    }
    const samples: Sample[] = [];
    const told = (sample: Sample): void => say(lineOf(sample));
    for (const scenario of options.scenarios)
      samples.push(...(await measure({ wire, world, mode, entrants, told }, scenario, samples)));
    return finish({ root, options, say }, samples, { leftOut, made: madeBy(entrants, mode) });
  } finally {
    await Promise.all(entrants.map(({ running }) => running.stop()));
    await engines.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function worldOf(root: string, dir: string, mode: Mode): Promise<World> {
  const ports = await freePorts(2 * enginesPerRole + mode.rounds);
  return {
    root,
    dir,
    prefillPorts: ports.slice(0, enginesPerRole),
    decodePorts: ports.slice(enginesPerRole, 2 * enginesPerRole),
    sparePorts: ports.slice(2 * enginesPerRole),
  };
}

function finish(
  { root, options, say }: Bench,
  samples: readonly Sample[],
  about: Pick<Run, "made" | "leftOut">,
): string {
  const run = { ...about, figures: figuresOf(samples), verdicts: verdictsOf(samples) };
  const report = reportOf(run);
  const json = `${JSON.stringify({ ...run, samples }, undefined, 2)}\n`;
  const write = (folder: string, page: string): void => {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, "performance.json"), json);
    writeFileSync(join(root, folder, "performance.svg"), pictureOf(run.figures));
    writeFileSync(join(root, folder, "performance.md"), page);
    say(`written: ${folder}/performance.{json,svg,md}`);
  };
  write(join(".pdjob", "bench"), `${report}\n`);
  if (options.updatesDocs)
    write("docs", withReport(readFileSync(join(root, "docs", "performance.md"), "utf8"), report));
  return options.isJson ? json : `${report}\n`;
}

const lineOf = ({ scenario, round, contender, ...of }: Sample): string =>
  `${scenario} ${round + 1} ${contender}: ${of.requests} requests, ${of.failed} failed, ${of.tokens} of ${of.offered} tokens, ${of.cpuMs} ms CPU${of.errors.length > 0 ? `; ${of.errors[0]}` : ""}`;

function madeBy(entrants: readonly Entrant[], mode: Mode): Run["made"] {
  const versions = entrants
    .filter(({ running }) => running.version !== "")
    .map(({ contender, running }) => [contender.name, running.version] as const);
  const machine = `${cpus().length} cores, ${cpus()[0]?.model ?? "unknown"}, Linux`;
  return {
    ...Object.fromEntries(versions),
    machine,
    load: `${loadavg()
      .map((load) => load.toFixed(1))
      .join(
        ", ",
      )}: processes that wanted a core in the last 1, 5 and 15 minutes, those of the benchmark included`,
    rounds: `${mode.rounds} of ${mode.windowMs / 1_000} s each, contenders interleaved`,
    date: new Date().toISOString().slice(0, 10),
  };
}
