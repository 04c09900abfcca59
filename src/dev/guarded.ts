import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
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

interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface Guarded {
  readonly pid: number;
  readonly isRunning: () => boolean;
  /** Resolves with the exit when the whole tree is gone. */
  readonly exited: Promise<Exit>;
  /** SIGTERM, then SIGKILL of the whole tree. */
  stop(graceS: number): Promise<void>;
}

/** A line of the guard: what became of the command. */
interface GuardMessage {
  readonly pid?: number;
  readonly error?: string;
  readonly exit?: Exit;
}

/** Starts a command whose whole process tree ends with it, with us, or on `stop`. Rejects when it cannot be executed. */
export async function startGuarded({ argv, env, cwd, log }: GuardedCommand): Promise<Guarded> {
  const guard = spawn(findPython(), ["-I", "-S", guardPath], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  guard.stdin.on("error", () => undefined); // A guard that is gone is noticed by the end of its output.
  const tell = (message: object): void => void guard.stdin.write(`${JSON.stringify(message)}\n`);
  const defined = Object.entries(env).filter(([, value]) => value !== undefined);
  // Node closes the pipe of a child that ends, so the guard must not fork away as it does below Ray.
  tell({ argv, env: Object.fromEntries(defined), cwd, log, detach: false });
  const lines = createInterface({ input: guard.stdout });
  let running = true;
  const exited = exitIn(lines).finally(() => (running = false));
  // The guard's own processes end a moment after the tree: only then is nothing left.
  const closed = new Promise<void>((resolve) => lines.once("close", () => resolve()));
  const failed = new Promise<never>((_resolve, reject) => guard.on("error", reject));
  const pid = await Promise.race([pidIn(lines, argv), failed]);
  return { pid, exited, isRunning: () => running, stop };

  async function stop(graceS: number): Promise<void> {
    if (!running) return;
    tell({ stop: graceS });
    const late = new Promise<void>((resolve) =>
      setTimeout(resolve, graceS * 1_000 + reapTimeoutMs).unref(),
    );
    await Promise.race([Promise.all([exited, closed]), late]);
    guard.stdin.end();
  }
}

const exitIn = (lines: Interface): Promise<Exit> =>
  new Promise((resolve) => {
    lines.on("line", (line) => {
      const { exit } = messageOf(line);
      if (exit) resolve(exit);
    });
    lines.on("close", () => resolve({ code: null, signal: "SIGKILL" }));
  });

const pidIn = (lines: Interface, [program]: GuardedCommand["argv"]): Promise<number> =>
  new Promise((resolve, reject) => {
    const refuse = (why: string): void => reject(new Error(`${program} cannot be started: ${why}`));
    lines.once("line", (line) => {
      const { pid, error } = messageOf(line);
      if (pid === undefined) refuse(String(error));
      else resolve(pid);
    });
    lines.once("close", () => refuse(`its guard ended (${findPython()} ${guardPath}).`));
  });

const messageOf = (line: string): GuardMessage => JSON.parse(line);
