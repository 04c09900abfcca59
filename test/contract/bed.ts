import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startGuarded } from "../../src/dev/guarded.ts";
import { freePort } from "../../src/dev/ports.ts";
import { eventually } from "../support/eventually.ts";

/** What the contract is checked on: simulated engines, or real vLLM. */
export interface Bed {
  /** What runs an engine, up to and with `serve MODEL`. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly dir: string;
  /** Longest boot. */
  readonly bootTimeoutMs: number;
  /** For everything that an engine does by itself: to notice, to count, to end. */
  readonly patienceMs: number;
  /** Tokens of a stream that is long enough to be interrupted. */
  readonly longStreamTokens: number;
  /** How long a prefill engine keeps KV for somebody. */
  readonly leaseS: number;
  /** How command lines with these flags end, where there is a cheaper way than to launch one after the other. */
  readonly endsOf?: (flags: readonly (readonly string[])[]) => Promise<readonly Ended[]>;
}

/** A command line that ended by itself. */
export interface Ended {
  readonly code: number | null;
  readonly log: string;
}

export interface Engine {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  isRunning(): boolean;
  /** Everything that it wrote. */
  log(): string;
  stop(): Promise<void>;
}

/** An engine that somebody else may have started. */
export type Reachable = Pick<Engine, "url">;

/** Test files run side by side: each begins somewhere else. */
let nextPort = 21_000 + Math.floor(Math.random() * 9_000);

/** A port that no other engine of this file was given. */
export async function ownPort(): Promise<number> {
  const port = await freePort(nextPort);
  nextPort = port + 1;
  return port;
}

/** Starts an engine under a guard, and does not wait for it. */
export async function launch(
  bed: Bed,
  name: string,
  flags: readonly string[],
  port?: number,
): Promise<Engine> {
  const ownHttp = port ?? (await ownPort());
  const side = await ownPort();
  const log = join(bed.dir, `${name}.log`);
  const guarded = await startGuarded({
    argv: [...bed.command, "--host", "127.0.0.1", "--port", String(ownHttp), ...flags],
    env: {
      ...process.env,
      VLLM_NIXL_SIDE_CHANNEL_HOST: "127.0.0.1",
      VLLM_NIXL_SIDE_CHANNEL_PORT: String(side),
      ...bed.env,
    },
    cwd: bed.dir,
    log,
  });
  return {
    url: `http://127.0.0.1:${ownHttp}`,
    port: ownHttp,
    pid: guarded.pid,
    exited: guarded.exited,
    isRunning: guarded.isRunning,
    log: () => readFileSync(log, "utf8"),
    stop: () => guarded.stop(0),
  };
}

/** Waits until it is healthy; answers with everything that its port said before. */
export async function untilHealthy(engine: Engine, { bootTimeoutMs }: Bed): Promise<string[]> {
  const seen = new Set<string>();
  await eventually(
    "the engine is healthy",
    async () => {
      if (!engine.isRunning()) return true;
      const said = await fetch(`${engine.url}/health`).then(
        ({ status }) => String(status),
        (error: Error) => String((error.cause as { code?: string })?.code),
      );
      if (said !== "200") seen.add(said);
      return said === "200";
    },
    bootTimeoutMs,
  );
  if (!engine.isRunning()) throw new Error(`it ended instead:\n${engine.log().slice(-4_000)}`);
  return [...seen];
}
