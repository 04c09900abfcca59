import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Agent } from "../ray/agent.ts";
import { withAgent, withConnection, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { findLog, findRunning } from "./log-source.ts";
import type { LogPiece, LogSource, LogWanted } from "./log-source.ts";
import { print, warn } from "./output.ts";

const followEveryMs = 500;
const pieceBytes = 256 * 1024;
const tailDefault = 200;
const tailMax = 10_000;
/** Looked through for the last lines: lines of a usual length, or this much of longer ones. */
const bytesPerLine = 1_000;
/** A replica that is replaced is back within this time, or it is gone. */
const goneForMs = 60_000;

interface LogsFlags extends ConnectionFlags, LogWanted {
  readonly follow?: boolean;
  readonly tail: number | "all";
  readonly json?: boolean;
}

export function addLogs(program: Command): void {
  withRay(withConnection(program.command("logs")))
    .description("print the log of an engine or of the proxy, also of one that ended")
    .argument("<job>", "the job's name")
    .argument("<replica>", "prefill-0, decode-1, … or proxy")
    .option("--generation <n>", "that generation instead of the one that runs", generationOf)
    .option("--previous", "the generation before the newest")
    .option("--rank <n>", "of a replica that spans nodes: its rank on another node", rankOf)
    .option("--follow", "go on printing what comes, over restarts too, until Ctrl-C or its end")
    .option("--tail <lines>", "lines to begin with, or all", tailOf, tailDefault)
    .option("--json", "print {job, replica, generation, live, host, path, lines} as JSON")
    .addHelpText(
      "after",
      "\nA log stays on its node after engine, actor and job are gone; it is read there, or you are told where it is.\n\nExamples:\n  pdjob-client logs quickstart decode-0 --follow\n  pdjob-client logs quickstart prefill-0 --previous --tail all\n  pdjob-client logs quickstart proxy --tail 20",
    )
    .action(async (job: string, replica: string, flags: LogsFlags) => {
      if (flags.previous && flags.generation !== undefined)
        throw new Exit(2, "Give --generation or --previous, not both.");
      await withAgent(flags, async (agent) => {
        const source = await findLog(agent, job, replica, flags);
        const show = flags.json ? jsonOf(job) : textOf();
        const offset = await showEnd(source, flags.tail, show);
        if (flags.follow && source.live)
          await follow({ agent, job, source, offset, rank: flags.rank ?? 0 }, show);
        show.end();
      });
    });
}

interface Show {
  /** Prints one more piece of a source; its text is what is new, and may be empty. */
  readonly piece: (source: LogSource, piece: LogPiece) => void;
  /** Nothing more comes. */
  readonly end: () => void;
}

async function showEnd(source: LogSource, tail: number | "all", show: Show): Promise<number> {
  if (tail !== "all") {
    const piece = await source.read(undefined, Math.max(pieceBytes, tail * bytesPerLine));
    show.piece(source, { ...piece, text: lastLines(piece.text, tail) });
    return piece.offset;
  }
  let offset = 0;
  for (;;) {
    const piece = await source.read(offset, pieceBytes);
    show.piece(source, piece);
    offset = piece.offset;
    if (offset >= piece.size) return offset;
  }
}

interface FollowFrom {
  readonly agent: Agent;
  readonly job: string;
  readonly rank: number;
  readonly source: LogSource;
  readonly offset: number;
}

/** The newest generation's, until nothing of that name has come back for a while. */
async function follow({ agent, job, rank, ...from }: FollowFrom, show: Show): Promise<void> {
  let { source, offset } = from;
  let goneAtMs: number | undefined;
  while (goneAtMs === undefined || Date.now() - goneAtMs < goneForMs) {
    const piece = await source.read(offset, pieceBytes).catch(() => undefined);
    if (piece) {
      if (piece.text) show.piece(source, piece);
      offset = piece.offset;
      if (offset < piece.size) continue;
    } else {
      goneAtMs ??= Date.now();
    }
    await sleep(followEveryMs);
    if (piece) continue;
    const next = await findRunning(agent, job, source.replica, rank).catch(() => undefined);
    if (!next) continue;
    goneAtMs = undefined;
    if (next.generation === source.generation) continue;
    warn(`${source.replica} g${source.generation} is gone; g${next.generation} follows.`);
    [source, offset] = [next, 0];
  }
}

const textOf = (): Show => {
  let told = false;
  return {
    piece({ replica, generation, live }, { text, host, path }) {
      if (!live && !told) warn(`${replica} g${generation} has ended; its log is ${host}:${path}`);
      told = true;
      process.stdout.write(text);
    },
    end: () => undefined,
  };
};

/** JSON lines: one document for each piece that completes a line. */
const jsonOf = (job: string): Show => {
  let rest = "";
  let printed = false;
  let last: (lines: readonly string[]) => void = () => undefined;
  return {
    piece({ replica, generation, live }, { text, host, path }) {
      const lines = `${rest}${text}`.split("\n");
      rest = lines.pop() ?? "";
      const about = { job, replica, generation, live, host, path: path ?? null };
      last = (some) => print(JSON.stringify({ ...about, lines: some }));
      printed ||= lines.length > 0;
      if (lines.length > 0) last(lines);
    },
    end() {
      if (rest !== "" || !printed) last(rest === "" ? [] : [rest]);
    },
  };
};

function lastLines(text: string, count: number): string {
  const ended = text.endsWith("\n");
  const lines = (ended ? text.slice(0, -1) : text).split("\n");
  return lines.slice(-count).join("\n") + (ended && text !== "" ? "\n" : "");
}

function generationOf(text: string): number {
  const generation = Number(text);
  if (Number.isInteger(generation) && generation >= 1) return generation;
  throw new Exit(2, "--generation: expected a number from 1, as `status` shows it (g2 is 2).");
}

function rankOf(text: string): number {
  const rank = Number(text);
  if (Number.isInteger(rank) && rank >= 0) return rank;
  throw new Exit(2, "--rank: expected a number from 0; rank 0 is the one that answers requests.");
}

function tailOf(text: string): number | "all" {
  const lines = Number(text);
  if (text === "all") return text;
  if (Number.isInteger(lines) && lines >= 1 && lines <= tailMax) return lines;
  throw new Exit(2, `--tail: expected a number of lines from 1 to ${tailMax}, or all.`);
}
