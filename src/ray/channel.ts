import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { ResultPromise } from "execa";
import { PdjobError, isErrorCode } from "../domain/errors.ts";
import { answer, greeting, verbResults } from "./contract.ts";
import type { Verb, VerbResult } from "./contract.ts";
import { callTimeoutMs, isDroppable } from "./timeouts.ts";
import type { CallOptions, VerbArgs } from "./verbs.ts";

/** Importing Ray and joining a cluster takes 1 to 3 s; the agent itself gives up after 30 s. */
const helloTimeoutMs = 40_000;
/** SIGTERM to SIGKILL when the channel closes. */
const closeGraceMs = 3_000;
/** Of a first line that is no greeting. */
const greetingShownMax = 200;
/** Lines of the agent's stderr kept to explain a failed start. */
const stderrLinesMax = 15;

export interface ChannelOptions {
  readonly python: string;
  readonly agentPath: string;
  readonly rayAddress: string;
  readonly onLog?: (line: string) => void;
}

interface Pending {
  readonly settle: (line: unknown) => void;
  readonly fail: (error: Error) => void;
}

type AgentProcess = ResultPromise<{ stdin: "pipe"; stdout: "pipe"; stderr: "pipe"; reject: false }>;

interface Session {
  readonly process: AgentProcess;
  readonly pending: Map<number, Pending>;
}

/** JSON lines over the stdio of an agent process that is respawned when a call finds it dead. */
export function createChannel(options: ChannelOptions) {
  let session: Promise<Session> | undefined;
  let lastId = 0;

  const open = (): Promise<Session> => {
    const opening = startSession(options, () => {
      if (session === opening) session = undefined;
    });
    opening.catch(() => {
      if (session === opening) session = undefined;
    });
    return opening;
  };

  async function call<V extends Verb>(
    verb: V,
    args: VerbArgs[V],
    { timeoutMs = callTimeoutMs(verb, args), signal }: CallOptions = {},
  ): Promise<VerbResult<V>> {
    signal?.throwIfAborted();
    session ??= open();
    const { process, pending } = await session;
    signal?.throwIfAborted();
    const id = ++lastId;
    const result = await new Promise<unknown>((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        pending.delete(id);
        settle();
      };
      const settle = (value: unknown) =>
        finish(() => (signal?.aborted ? reject(signal.reason as Error) : resolve(value)));
      const fail = (error: Error) =>
        finish(() => reject(signal?.aborted ? (signal.reason as Error) : error));
      // The agent goes on with what it has begun. Whoever gave up on a change may undo it next, so it has to be over first.
      const onAbort = () => void (isDroppable(verb) && settle(undefined));
      const timer = setTimeout(() => fail(silence(verb, timeoutMs)), timeoutMs);
      signal?.addEventListener("abort", onAbort, { once: true });
      pending.set(id, { settle, fail });
      process.stdin.write(`${JSON.stringify({ id, verb, args })}\n`);
    });
    return parseResult(verb, result);
  }

  async function close(): Promise<void> {
    const open = await session?.catch(() => undefined);
    session = undefined;
    if (!open) return;
    open.process.stdin.end();
    const timer = setTimeout(() => open.process.kill("SIGKILL"), closeGraceMs);
    await open.process;
    clearTimeout(timer);
  }

  return { call, close };
}

const silence = (verb: Verb, timeoutMs: number): PdjobError =>
  new PdjobError(
    "AgentUnreachable",
    `The Ray agent did not answer ${verb} within ${timeoutMs / 1_000} s.`,
  );

async function startSession(options: ChannelOptions, onEnd: () => void): Promise<Session> {
  const { python, agentPath, rayAddress, onLog } = options;
  const child: AgentProcess = execa(python, ["-m", "pdjob_agent", "--address", rayAddress], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    reject: false,
    buffer: false,
    env: { PYTHONPATH: agentPath, PYTHONUNBUFFERED: "1" },
  });
  const pending = new Map<number, Pending>();
  const recent: string[] = [];
  child.stdin.on("error", () => undefined); // A dead agent is reported by its exit, not by EPIPE.
  createInterface({ input: child.stderr }).on("line", (line) => {
    recent.push(line);
    if (recent.length > stderrLinesMax) recent.shift();
    onLog?.(line);
  });
  const gone = child.then(({ exitCode, code, originalMessage }) => {
    const how =
      code === undefined
        ? `exited with code ${exitCode ?? "unknown"}`
        : `could not be started: ${originalMessage ?? code}`;
    const error = new PdjobError(
      "AgentUnreachable",
      `The Ray agent (${python} -m pdjob_agent --address ${rayAddress}) ${how}.\n${recent.join("\n")}`.trimEnd(),
    );
    for (const { fail } of pending.values()) fail(error);
    onEnd();
    return error;
  });
  await readGreeting(child, gone, pending);
  return { process: child, pending };
}

/** Resolves on hello; from then on each line settles a pending call. */
async function readGreeting(
  child: AgentProcess,
  gone: Promise<PdjobError>,
  pending: Map<number, Pending>,
): Promise<void> {
  const lines = createInterface({ input: child.stdout });
  const first = new Promise<string>((resolve) => {
    let greeted = false;
    lines.on("line", (line) => {
      if (greeted) dispatch(line, pending);
      else {
        greeted = true;
        resolve(line);
      }
    });
  });
  const giveUp = new AbortController();
  const late = sleep(helloTimeoutMs, undefined, { signal: giveUp.signal }).then(saidNothing);
  late.catch(() => undefined); // It was not needed.
  const outcome = await Promise.race([first, gone, late]);
  giveUp.abort();
  const problem = outcome instanceof PdjobError ? outcome : greetingProblem(outcome);
  if (problem === undefined) return;
  child.kill("SIGKILL");
  throw problem;
}

const saidNothing = (): PdjobError =>
  new PdjobError("AgentUnreachable", `The Ray agent said nothing for ${helloTimeoutMs / 1_000} s.`);

/** Undefined when it is a hello. */
function greetingProblem(line: string): PdjobError | undefined {
  const { success, data } = greeting.safeParse(parseLine(line));
  if (!success) {
    const shown = line.slice(0, greetingShownMax);
    return new PdjobError(
      "AgentUnreachable",
      `The Ray agent greeted with something else: ${shown}`,
    );
  }
  return "hello" in data ? undefined : toError(data.fatal);
}

function dispatch(line: string, pending: Map<number, Pending>): void {
  const parsed = answer.safeParse(parseLine(line));
  if (!parsed.success || parsed.data.id === null) return;
  const call = pending.get(parsed.data.id);
  if (parsed.data.ok) call?.settle(parsed.data.result);
  else call?.fail(toError(parsed.data.error));
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function parseResult<V extends Verb>(verb: V, result: unknown): VerbResult<V> {
  const parsed = verbResults[verb].safeParse(result);
  if (parsed.success) return parsed.data as VerbResult<V>;
  const issue = parsed.error.issues[0];
  throw new PdjobError(
    "Internal",
    `The Ray agent's answer to ${verb} is not what this version expects: ${issue?.path.join(".")}: ${issue?.message}`,
  );
}

function toError({
  class: kind,
  code,
  message,
}: {
  readonly class: string;
  readonly code: string;
  readonly message: string;
}): PdjobError {
  if (isErrorCode(code)) return new PdjobError(code, message);
  return new PdjobError(
    kind === "retryable"
      ? "RayUnreachable"
      : kind === "clusterChanged"
        ? "ClusterChanged"
        : "SpecInvalid",
    message,
  );
}
