import { createServer } from "node:http";
import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { UsageError } from "./command-line.ts";
import { startCore } from "./core.ts";
import type { Core } from "./core.ts";
import { createEngine } from "./engine.ts";
import type { Engine } from "./engine.ts";
import { hostGang, joinGang } from "./gang.ts";
import { createKv } from "./kv.ts";
import type { Kv } from "./kv.ts";
import { parseOptions } from "./options.ts";
import type { EngineOptions } from "./options.ts";
import type { Phase } from "./running.ts";
import { simulatedVersion } from "./version.ts";

/** Pace and faults of the simulation, from the environment; times in ms. */
const switches = {
  bootMs: Number(process.env["PDJOB_SIM_BOOT_MS"] ?? 300),
  tokenMs: Number(process.env["PDJOB_SIM_TOKEN_MS"] ?? 2),
  /** Exit 1 with this message instead of getting ready. */
  bootFailure: process.env["PDJOB_SIM_BOOT_FAILURE"],
  /** End without a word this long after getting ready. */
  crashAfterMs: Number(process.env["PDJOB_SIM_CRASH_AFTER_MS"] ?? 0),
  /** Stop answering, connections stay open, this long after getting ready. */
  hangAfterMs: Number(process.env["PDJOB_SIM_HANG_AFTER_MS"] ?? 0),
  /**
   * What the ranks of an engine do when one of them is gone. `request`: rank 0 dies of the next request and followers
   * stay, as vLLM on CPU does; `hang`: rank 0 answers nobody, as in a collective without an end; `exit`: all end at once.
   */
  rankLoss: process.env["PDJOB_SIM_RANK_LOSS"] ?? "request",
  engineCore: process.env["PDJOB_SIM_ENGINE_CORE"] !== "0",
  /** What running requests hear of a SIGTERM without a drain: an `error`, an `abort`, or `silence`. */
  onSigterm: process.env["PDJOB_SIM_ON_SIGTERM"] ?? "error",
} as const;

/** vLLM looks this often whether its engine core died; a request that fails of it ends the server sooner. */
const watchdogMs = 5_000;
const afterFailureMs = 100;
const pollMs = 50;

const phaseOnSigterm: Readonly<Record<string, Phase>> = {
  error: "dead",
  abort: "aborting",
  silence: "silent",
};

type End = (code: number) => never;

const log = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  if (["--version", "-v"].includes(process.argv[2] ?? "")) return log(simulatedVersion);
  const options = readOptions();
  const { host, port, gang } = options;
  const what = gang.headless ? `rank ${gang.rank}, headless` : `http://${host}:${port}`;
  log(
    `pdjob SIMULATED engine (no model, no GPU): ${options.servedModelNames.join(", ")} on ${what}`,
  );
  const core = switches.engineCore ? startCore() : undefined;
  const end = (code: number): never => {
    core?.kill();
    process.exit(code);
  };
  if (switches.bootFailure !== undefined) {
    process.stderr.write(`ERROR ${switches.bootFailure}\n`);
    failBoot(end);
  }
  await (gang.headless ? follow(options, end) : serve(options, core, end));
}

/** A rank without HTTP: joins rank 0 and is there, until it is told to stop or rank 0 is gone. */
async function follow(options: EngineOptions, end: End): Promise<void> {
  process.once("SIGTERM", () => end(0));
  await sleep(switches.bootMs);
  await openSideChannel(createKv(options, process.env), end);
  const onLoss = (): void => {
    log("recvValue failed: Connection was likely closed. Did the remote server shutdown or crash?");
    if (switches.rankLoss === "exit") end(1);
  };
  await joinGang(options, onLoss).catch((error: Error) => {
    process.stderr.write(`The rendezvous failed.\n${error.message}\n`);
    failBoot(end);
  });
  const { host, port } = options.gang.meeting;
  log(`Rank ${options.gang.rank} joined ${host}:${port}.`);
  setInterval(() => undefined, 60_000); // Whatever becomes of the connection, the process stays.
}

async function serve(options: EngineOptions, core: Core | undefined, end: End): Promise<void> {
  let lostRank: number | undefined;
  const server = createServer((request, response) => {
    if (lostRank !== undefined && request.method === "POST")
      die(`Rank ${lostRank} does not answer any more.`, afterFailureMs);
    engine.handle(request, response);
  });
  const engine = createEngine({
    options,
    env: process.env,
    tokenMs: switches.tokenMs,
    core,
    onDead: (why) => die(why, afterFailureMs),
  });

  function die(why: string, afterMs: number): void {
    engine.become("dead");
    process.stderr.write(`${why}\nvllm.v1.engine.exceptions.EngineDeadError\n`);
    setTimeout(() => closeAndEnd(server, end), afterMs);
  }
  core?.onExit(() => die("Engine core proc EngineCore died unexpectedly", watchdogMs));
  let isTold = false;
  process.on("SIGTERM", () => {
    if (isTold) return; // As vLLM: a second one changes nothing.
    isTold = true;
    void shutDown({ engine, server, options }, end);
  });
  const gang = hostGang(options, (rank) => {
    log(`Rank ${rank} is gone.`);
    if (switches.rankLoss === "exit") die(`Rank ${rank} died unexpectedly.`, 0);
    else if (switches.rankLoss === "hang") engine.become("silent");
    else lostRank = rank;
  });

  // Until everything is up the port refuses connections: vLLM has no "starting" answer.
  await Promise.all([sleep(switches.bootMs), gang]).catch((error: Error) => {
    process.stderr.write(`EngineCore failed to start.\n${error.message}\n`);
    failBoot(end);
  });
  await openSideChannel(engine.kv, end);
  listen(server, options, end);
}

function listen(server: Server, { host, port }: EngineOptions, end: End): void {
  server.on("error", (error: NodeJS.ErrnoException) => {
    const isTaken = error.code === "EADDRINUSE";
    process.stderr.write(
      `OSError: ${isTaken ? "[Errno 98] Address already in use" : error.message}\n`,
    );
    end(1);
  });
  server.listen(port, host, () => {
    log("Application startup complete.");
    if (switches.crashAfterMs > 0)
      setTimeout(() => process.kill(process.pid, "SIGKILL"), switches.crashAfterMs);
    if (switches.hangAfterMs > 0)
      setTimeout(() => process.kill(process.pid, "SIGSTOP"), switches.hangAfterMs);
  });
}

async function openSideChannel({ transfer }: Kv, end: End): Promise<void> {
  await transfer?.listen().catch((error: Error) => {
    process.stderr.write(`EngineCore failed to start.\n${error.message}\n`);
    failBoot(end);
  });
}

/**
 * With --shutdown-timeout: health stays good and the port open until what runs has ended and KV that is kept was fetched
 * or has expired. Without: the engine core is killed, nobody is let in, and the server waits for its connections.
 */
async function shutDown(
  { engine, server, options }: { engine: Engine; server: Server; options: EngineOptions },
  end: End,
): Promise<void> {
  log("[shutdown] API server: shutdown triggered");
  const untilMs = Date.now() + options.shutdownTimeoutS * 1_000;
  if (options.shutdownTimeoutS > 0) engine.become("draining");
  while (engine.pending() > 0 && Date.now() < untilMs) await sleep(pollMs);
  engine.become(phaseOnSigterm[switches.onSigterm] ?? "dead");
  closeAndEnd(server, end);
}

/** As uvicorn does: no new connections, and an end when the last one is closed. Its exit code is 0 in any case. */
function closeAndEnd(server: Server, end: End): void {
  if (!server.listening) end(0);
  server.close(() => end(0));
  server.closeIdleConnections();
}

function readOptions(): EngineOptions {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    const { message } = error as Error;
    if (!(error instanceof UsageError)) {
      process.stderr.write(`1 validation error for VllmConfig\n  ${message}\n`);
      process.exit(1);
    }
    const usage = error.program === "vllm" ? "vllm [-h] [-v]" : "vllm serve [model_tag] [options]";
    process.stderr.write(`usage: ${usage}\n${error.program}: error: ${message}\n`);
    process.exit(2);
  }
}

function failBoot(end: End): never {
  process.stderr.write(
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n",
  );
  return end(1);
}

// As Python's logging: what cannot be written is lost, and the engine goes on.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
await main();
