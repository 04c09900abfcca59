import { createInterface } from "node:readline";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { findPython } from "../ray/agent.ts";

/** The agent's guard also owns what the embedded stack starts: if we are killed, none of it is left. */
const guardPath = fileURLToPath(new URL("../../agent/pdjob_agent/node/guard.py", import.meta.url));
/** A process tree that SIGKILL does not end by then hangs in the kernel; we go on without it. */
const reapTimeoutMs = 12_000;

export interface GuardedCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** File that receives the output. */
  readonly log: string;
}

export interface Guarded {
  readonly pid: number;
  readonly isRunning: () => boolean;
  /** Resolves with the exit when the whole tree is gone. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** SIGTERM, then SIGKILL of the whole tree. */
  stop(graceS: number): Promise<void>;
}

/** Starts a command whose whole process tree ends with it, with us, or on `stop`. Rejects when it cannot be executed. */
export async function startGuarded({ argv, env, cwd, log }: GuardedCommand): Promise<Guarded> {
  const guard = spawn(findPython(), ["-I", "-S", guardPath], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  guard.stdin.on("error", () => undefined); // A guard that is gone is noticed by the end of its output.
  const defined = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined),
  );
  // Node closes the pipe of a child that ends, so the guard must not fork away as it does below Ray.
  guard.stdin.write(`${JSON.stringify({ argv, env: defined, cwd, log, detach: false })}\n`);
  let running = true;
  const lines = createInterface({ input: guard.stdout });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    lines.on("line", (line) => {
      const message = JSON.parse(line) as { exit?: { code: number | null; signal: string | null } };
      if (message.exit) resolve(message.exit);
    });
    lines.on("close", () => resolve({ code: null, signal: "SIGKILL" }));
  }).finally(() => {
    running = false;
  });
  // The guard's own processes end a moment after the tree: only then is nothing left.
  const closed = new Promise<void>((resolve) => lines.once("close", () => resolve()));
  const pid = await new Promise<number>((resolve, reject) => {
    guard.on("error", reject);
    lines.once("line", (line) => {
      const message = JSON.parse(line) as { pid?: number; error?: string };
      if (message.pid === undefined)
        reject(new Error(`${argv[0]} cannot be started: ${message.error}`));
      else resolve(message.pid);
    });
    lines.once("close", () =>
      reject(
        new Error(`${argv[0]} cannot be started: its guard ended (${findPython()} ${guardPath}).`),
      ),
    );
  });
  return { pid, exited, isRunning: () => running, stop };

  async function stop(graceS: number): Promise<void> {
    if (!running) return;
    guard.stdin.write(`${JSON.stringify({ stop: graceS })}\n`);
    const late = new Promise<void>((resolve) =>
      setTimeout(resolve, graceS * 1_000 + reapTimeoutMs).unref(),
    );
    await Promise.race([Promise.all([exited, closed]), late]);
    guard.stdin.end();
  }
}
