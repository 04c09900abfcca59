import { join } from "node:path";
import { execa } from "execa";

/** Compiles and starts the two ends of the wire: bench/wire, a small program in Go. */

export interface Load {
  readonly port: number;
  /** Whose processor time and memory are measured. */
  readonly pids: readonly number[];
  readonly clients: number;
  readonly promptBytes: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** Processor time to be seen: the window is up to three times as long for it. */
  readonly cpuMinMs: number;
  /** At most, until all streams have begun. */
  readonly rampMs: number;
  /** Requests per second at fixed times; absent = each client sends its next one after an answer. */
  readonly perSecond?: number;
  /** One long stream per client, with a token each so many ms. */
  readonly tokenMs?: number;
}

/** Of the window alone. */
export interface LoadResult {
  readonly seconds: number;
  readonly requests: number;
  readonly failed: number;
  /** Answers with other bytes than the engine sent. */
  readonly changed: number;
  readonly tokens: number;
  /** Tokens that were due. */
  readonly offered: number;
  readonly cpuMs: number;
  readonly rssMib: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** A few different ones. */
  readonly errors: readonly string[];
}

export interface EngineCounts {
  readonly prefills: number;
  readonly decodes: number;
  /** Decodes that were told where their KV is. */
  readonly withKv: number;
  /** Unix time of the first request, in µs; 0 = there was none. */
  readonly firstUs: number;
}

export type Wire = Awaited<ReturnType<typeof buildWire>>;

export async function buildWire(root: string, dir: string) {
  const program = join(dir, "wire");
  const building = await execa("go", ["build", "-o", program, "."], {
    cwd: join(root, "bench", "wire"),
    reject: false,
  });
  if (building.failed)
    throw new Error(
      `The engines and clients of the benchmark need Go 1.21 or newer (Debian: apt-get install golang-go):\n${building.stderr || building.shortMessage}`,
    );

  /** They end with this process, whatever ends it: it holds their standard input. */
  async function startEngines(ports: readonly number[], tokenMs: number) {
    const child = execa(
      program,
      ["engines", "-ports", ports.join(","), "-interval", `${tokenMs}ms`],
      { stdin: "pipe", reject: false, buffer: false },
    );
    await new Promise<void>((resolve, reject) => {
      child.stdout.once("data", () => resolve());
      void child.then(({ shortMessage = "they ended" }) => reject(new Error(shortMessage)));
    });
    return {
      stop: async () => {
        child.stdin.end();
        await child;
      },
    };
  }

  async function load(of: Load): Promise<LoadResult> {
    const { stdout } = await execa(program, ["load", ...argumentsOf(of)]);
    return JSON.parse(stdout) as LoadResult;
  }

  return { startEngines, load };
}

export const argumentsOf = (load: Load): readonly string[] => [
  "-port",
  String(load.port),
  "-pids",
  load.pids.join(","),
  "-clients",
  String(load.clients),
  "-prompt-bytes",
  String(load.promptBytes),
  "-warm-up",
  `${load.warmUpMs}ms`,
  "-window",
  `${load.windowMs}ms`,
  "-cpu-min",
  `${load.cpuMinMs}ms`,
  "-ramp",
  `${load.rampMs}ms`,
  ...(load.perSecond === undefined ? [] : ["-rate", load.perSecond.toFixed(1)]),
  ...(load.tokenMs === undefined ? [] : ["-streams", "-interval", `${load.tokenMs}ms`]),
];

export async function countsOf(port: number): Promise<EngineCounts> {
  const answer = await fetch(`http://127.0.0.1:${port}/stats`);
  return (await answer.json()) as EngineCounts;
}
