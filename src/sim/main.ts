import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { createEngine } from "./engine.ts";
import { UsageError, parseOptions } from "./options.ts";
import type { EngineOptions } from "./options.ts";
import { createTransfer } from "./transfer.ts";

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
  engineCore: process.env["PDJOB_SIM_ENGINE_CORE"] !== "0",
};

/** vLLM's watchdog ends the server about this long after its engine core died. */
const watchdogMs = 5_000;
const drainPollMs = 50;

const log = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  const options = readOptions();
  log(
    `pdjob SIMULATED engine (no model, no GPU): ${options.servedModelNames.join(", ")} on http://${options.host}:${options.port}`,
  );
  const core = switches.engineCore ? startCore() : undefined;
  const end = (code: number): never => {
    core?.kill("SIGKILL");
    process.exit(code);
  };
  if (switches.bootFailure !== undefined) {
    process.stderr.write(
      `ERROR ${switches.bootFailure}\nRuntimeError: Engine core initialization failed. See root cause above.\n`,
    );
    end(1);
  }
  const transfer = createTransfer(options, process.env);
  const onDead = (why: string): void => {
    process.stderr.write(
      `${why}\nvllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n`,
    );
    setTimeout(() => end(1), watchdogMs);
  };
  const engine = createEngine({ options, transfer, tokenMs: switches.tokenMs, onDead });
  process.once("SIGTERM", () => void shutDown());

  async function shutDown(): Promise<void> {
    const untilMs = Date.now() + options.shutdownTimeoutS * 1_000;
    engine.drain();
    while (engine.pending() > 0 && Date.now() < untilMs) await sleep(drainPollMs);
    engine.abort();
    await sleep(drainPollMs); // Lets the last answers leave.
    log("Shutting down");
    end(0);
  }

  // Until everything is up the port refuses connections: vLLM has no "starting" answer.
  await sleep(switches.bootMs);
  if (options.kv?.connector.startsWith("Nixl"))
    await transfer
      .listen()
      .catch((error: Error) => refuse(error, "EngineCore failed to start", end));
  const server = createServer((request, response) => engine.handle(request, response));
  server.on("error", (error) => refuse(error, "the API server cannot listen", end));
  server.listen(options.port, options.host, () => {
    log("Application startup complete.");
    if (switches.crashAfterMs > 0)
      setTimeout(() => process.kill(process.pid, "SIGKILL"), switches.crashAfterMs);
    if (switches.hangAfterMs > 0)
      setTimeout(() => process.kill(process.pid, "SIGSTOP"), switches.hangAfterMs);
  });
}

function readOptions(): EngineOptions {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    const isUsage = error instanceof UsageError;
    process.stderr.write(
      isUsage
        ? `usage: vllm serve [model_tag] [options]\nvllm serve: error: ${error.message}\n`
        : `ValueError: ${(error as Error).message}\n`,
    );
    process.exit(isUsage ? 2 : 1);
  }
}

function refuse(error: Error, what: string, end: (code: number) => never): never {
  process.stderr.write(`${what}: ${error.message}\n`);
  return end(1);
}

/** Like vLLM's EngineCore it lives in a session of its own and outlives a SIGKILL of its parent. */
function startCore() {
  const core = spawn("sleep", ["infinity"], {
    argv0: "VLLM::EngineCore",
    detached: true,
    stdio: "ignore",
  });
  core.unref();
  return core;
}

await main();
