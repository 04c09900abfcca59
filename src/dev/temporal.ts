import { join } from "node:path";
import { Connection } from "@temporalio/client";
import { startGuarded } from "./guarded.ts";
import type { Guarded } from "./guarded.ts";
import { ownEnv } from "./own-env.ts";
import { findTemporal } from "./temporal-cli.ts";
import { untilStarted } from "./until-started.ts";

const startTimeoutMs = 30_000;

export interface TemporalOptions {
  readonly stateDir: string;
  /** Keeps the database in memory, so that nothing of an earlier run is found and nothing is left. */
  readonly inMemory: boolean;
  readonly logDir: string;
  readonly port: number;
  readonly uiPort: number;
  /** Receives the process before it serves, so that it can be stopped whatever comes. */
  readonly onStarted: (server: Guarded) => void;
  readonly signal: AbortSignal;
}

/** A Temporal dev server; resolves when it serves. */
export async function startTemporal(options: TemporalOptions): Promise<void> {
  const { stateDir, logDir, port, uiPort, onStarted, signal } = options;
  const { path, version } = await findTemporal();
  const ports = ["--ip", "127.0.0.1", "--port", String(port), "--ui-port", String(uiPort)];
  const database = options.inMemory ? [] : databaseFlags(stateDir, version);
  const argv = [path, "server", "start-dev", ...ports, ...database, "--log-level", "error"];
  const log = join(logDir, "temporal.log");
  const server = await startGuarded({ argv, env: ownEnv(), cwd: stateDir, log });
  onStarted(server);
  await untilStarted({
    what: "The Temporal server",
    process: server,
    log,
    isUp: () => serves(`127.0.0.1:${port}`),
    timeoutMs: startTimeoutMs,
    signal,
  });
}

/** The file is not an upgrade path: another version of the server gets another file. */
const databaseFlags = (stateDir: string, version: string): readonly string[] => [
  "--db-filename",
  join(stateDir, `temporal-${version}.db`),
  "--sqlite-pragma",
  "journal_mode=WAL",
  "--sqlite-pragma",
  "synchronous=NORMAL",
];

async function serves(address: string): Promise<boolean> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: "2 seconds" });
    await connection.workflowService.describeNamespace({ namespace: "default" });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}
