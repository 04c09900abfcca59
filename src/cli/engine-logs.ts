import { setTimeout as sleep } from "node:timers/promises";
import { replicaName } from "../domain/names.ts";
import type { ObservedReplica } from "../domain/observed.ts";
import { connectAgent } from "../ray/agent.ts";
import type { Agent } from "../ray/agent.ts";
import { rayAddressOf } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { colour, print } from "./output.ts";

const lookEveryMs = 500;
/** Read of one engine at a time; what is beyond is passed over, so that a flood never holds up what is new. */
const pieceBytes = 32 * 1024;
/** Shown of one engine at a time: 100 lines a second are more than anyone reads. */
const linesMax = 50;
const lineLengthMax = 500;
/** Engines whose logs are shown; of a larger job, `pdjob-client logs` shows any. */
const enginesMax = 16;
const failuresMax = 5;

/**
 * Shows what engines write, each line with its replica's name, until `signal` aborts. Beside the real work: it never
 * fails and nobody waits for it. Without a Ray cluster to ask, it says so once.
 */
export async function showEngineLogs(
  job: string,
  flags: ConnectionFlags,
  signal: AbortSignal,
): Promise<void> {
  let agent: Agent;
  try {
    agent = connectAgent({ rayAddress: rayAddressOf(flags) });
  } catch {
    return print(
      "(engine logs are not shown: no Ray cluster is known here; give --ray-address HOST:PORT)",
    );
  }
  try {
    await showUntil(agent, job, signal);
  } finally {
    await agent.close();
  }
}

async function showUntil(agent: Agent, job: string, signal: AbortSignal): Promise<void> {
  const show = engineLogPrinter(job, print);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const { replicas } = await agent.call("list", { job }, { signal });
      await Promise.all(replicas.slice(0, enginesMax).map((one) => read(agent, one, show, signal)));
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures >= failuresMax)
        return print(
          `(engine logs are not shown any more: ${error instanceof Error ? error.message : String(error)})`,
        );
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

async function read(
  agent: Agent,
  { name, role, index, generation, state }: ObservedReplica,
  show: EngineLogPrinter,
  signal: AbortSignal,
): Promise<void> {
  if (state === "lost" || state === "idle") return;
  const offset = show.offsetOf(name);
  // An actor that goes away meanwhile is no reason to stop showing the others.
  const piece = await agent
    .call("logs", { name, offset, maxBytes: pieceBytes }, { signal })
    .catch(() => undefined);
  if (piece) show.piece(name, `${replicaName({ role, index })} g${generation}`, piece);
}

export type EngineLogPrinter = ReturnType<typeof engineLogPrinter>;

/** Turns pieces of logs into whole lines with a name before each, no more of them than anyone can read. */
export function engineLogPrinter(job: string, write: (line: string) => void) {
  const states = new Map<string, { readonly offset: number; readonly rest: string }>();

  function piece(
    name: string,
    label: string,
    {
      text,
      offset,
      size,
    }: { readonly text: string; readonly offset: number; readonly size: number },
  ): void {
    const lines = `${states.get(name)?.rest ?? ""}${text}`.split("\n");
    const rest = lines.pop() ?? "";
    const behind = size - offset > pieceBytes;
    states.set(name, behind ? { offset: size - pieceBytes, rest: "" } : { offset, rest });
    const say = (line: string): void => write(colour("dim", `${label} | ${line}`));
    for (const line of lines.slice(0, linesMax)) say(shortened(line));
    if (lines.length > linesMax || behind) {
      const replica = label.split(" ", 1)[0];
      say(`… not all is shown: pdjob-client logs ${job} ${replica} --tail all`);
    }
  }

  return { piece, offsetOf: (name: string): number => states.get(name)?.offset ?? 0 };
}

const shortened = (line: string): string =>
  line.length > lineLengthMax ? `${line.slice(0, lineLengthMax)}…` : line;
