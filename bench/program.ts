import { createWriteStream, readFileSync, readdirSync } from "node:fs";
import { createServer, connect } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { execa } from "execa";

const startTimeoutMs = 30_000;
const lookMs = 50;
const killAfterMs = 5_000;

export interface Program {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface Start {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where the log goes. */
  readonly dir: string;
  /** It is up once something listens there. */
  readonly port: number;
}

/** Starts a program in its own process group, and waits until it listens. */
export async function startProgram({
  name,
  command,
  args,
  env = {},
  dir,
  port,
}: Start): Promise<Program> {
  const log = createWriteStream(join(dir, `${name}.log`));
  const child = execa(command, args, {
    env,
    stdin: "ignore",
    all: true,
    buffer: false,
    reject: false,
    forceKillAfterDelay: killAfterMs,
  });
  child.all.pipe(log);
  let exit: string | undefined;
  void child.then(({ exitCode, shortMessage = "" }) => (exit = shortMessage || `exit ${exitCode}`));
  const stop = async (): Promise<void> => {
    child.kill();
    await child;
  };
  const untilMs = Date.now() + startTimeoutMs;
  while (!(await isListening(port))) {
    if (exit === undefined && Date.now() < untilMs) await sleep(lookMs);
    else {
      await stop();
      const said = readFileSync(join(dir, `${name}.log`), "utf8").slice(-1_000);
      throw new Error(`${name} did not start to listen: ${exit ?? "still silent"}\n${said}`);
    }
  }
  return { pid: child.pid ?? 0, stop };
}

export const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Ports that nobody listens on now, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A process and all that it started, as far as it lives. */
export function treeOf(pid: number): readonly number[] {
  const parents = new Map(
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), parentOf(name)] as const),
  );
  const below = (one: number): readonly number[] => [
    one,
    ...[...parents].filter(([, parent]) => parent === one).flatMap(([child]) => below(child)),
  ];
  return below(pid);
}

function parentOf(pid: string): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // It has just ended.
  }
}
