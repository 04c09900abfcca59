import { createConnection, createServer } from "node:net";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineOptions } from "./options.ts";

/**
 * The ranks of one engine meet at rank 0 over TCP, as PyTorch's do at `--master-addr`. Whoever is there stays connected,
 * so that each side sees the other's end.
 */
const retryMs = 100;
/** PyTorch's own limit for a rendezvous. */
const meetTimeoutMs = 300_000;

/** What a rank says when it comes. All but the rank must be the same everywhere. */
interface Hello {
  readonly rank: number;
  readonly engine: string;
}

/**
 * Rank 0's side. Resolves when every rank has come, rejects when one may not join; `onLoss` is called when a rank that
 * had come is gone.
 */
export function hostGang(options: EngineOptions, onLoss: (rank: number) => void): Promise<void> {
  const { others, meeting } = options.gang;
  const present = new Set<number>();
  return new Promise<void>((resolve, reject) => {
    if (others === 0) return resolve();
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      createInterface({ input: socket }).once("line", (line) => {
        const hello = JSON.parse(line) as Hello;
        const problem = refusal(hello, options, present);
        socket.write(`${JSON.stringify({ problem })}\n`);
        if (problem !== undefined) return reject(new Error(problem));
        present.add(hello.rank);
        socket.once("close", () => onLoss(hello.rank));
        if (present.size === others) resolve();
      });
    });
    server.once("error", reject).listen(meeting.port, meeting.host);
  });
}

function refusal(
  { rank, engine }: Hello,
  options: EngineOptions,
  present: ReadonlySet<number>,
): string | undefined {
  const { others } = options.gang;
  if (rank < 1 || rank > others || present.has(rank))
    return `rank ${rank} is not expected; of 1 to ${others} these have come: ${[...present].join(", ")}`;
  return engine === identityOf(options)
    ? undefined
    : `rank ${rank} runs another engine: ${engine} instead of ${identityOf(options)}`;
}

/** A follower's side: returns once rank 0 has taken it in. `onLoss` is called when rank 0 is gone afterwards. */
export async function joinGang(options: EngineOptions, onLoss: () => void): Promise<void> {
  const untilMs = Date.now() + meetTimeoutMs;
  for (;;) {
    const socket = await meet(options.gang.meeting);
    if (socket) {
      await introduce(socket, options);
      socket.once("close", onLoss);
      return;
    }
    if (Date.now() > untilMs)
      throw new Error(`nobody came to the rendezvous within ${meetTimeoutMs / 1_000} s`);
    await sleep(retryMs);
  }
}

function meet(at: { readonly host: string; readonly port: number }): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(at);
    socket.once("connect", () => resolve(socket)).once("error", () => resolve(undefined));
  });
}

function introduce(socket: Socket, options: EngineOptions): Promise<void> {
  const hello: Hello = { rank: options.gang.rank, engine: identityOf(options) };
  return new Promise((resolve, reject) => {
    socket.on("error", () => socket.destroy());
    socket.once("close", () => reject(new Error("rank 0 left the rendezvous")));
    createInterface({ input: socket }).once("line", (line) => {
      const { problem } = JSON.parse(line) as { problem?: string };
      if (problem === undefined) resolve();
      else reject(new Error(problem));
    });
    socket.write(`${JSON.stringify(hello)}\n`);
  });
}

/**
 * What all ranks must agree on. The engine id is among it: vLLM boots without, but the peers of a NIXL engine refuse
 * ranks of another id ("Remote NIXL agent engine ID mismatch"), and a simulation should say so early.
 */
const identityOf = ({
  model,
  tensorParallelSize,
  dataParallelSize,
  gang,
  kv,
}: EngineOptions): string =>
  `${model} TP${tensorParallelSize} DP${dataParallelSize} on ${gang.others + 1} nodes, engine_id ${kv?.engineId ?? "none"}`;
