import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "@temporalio/client";
import { execa } from "execa";
import { startGuarded } from "./guarded.ts";
import type { Guarded } from "./guarded.ts";

/** Older CLIs embed servers that lack what the workflow uses. */
const versionMin = [1, 9] as const;
const startTimeoutMs = 30_000;

export interface TemporalOptions {
  readonly stateDir: string;
  readonly logDir: string;
  readonly port: number;
  readonly uiPort: number;
}

/** A Temporal dev server with its database on disk; resolves when it serves. */
export async function startTemporal({
  stateDir,
  logDir,
  port,
  uiPort,
}: TemporalOptions): Promise<Guarded> {
  const { path, version } = await findTemporal();
  // The file is not an upgrade path: another version of the server gets another file.
  const database = join(stateDir, `temporal-${version}.db`);
  const pragmas = ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"];
  const ports = ["--ip", "127.0.0.1", "--port", String(port), "--ui-port", String(uiPort)];
  const argv = [
    path,
    "server",
    "start-dev",
    ...ports,
    "--db-filename",
    database,
    ...pragmas,
    "--log-level",
    "error",
  ];
  const log = join(logDir, "temporal.log");
  const server = await startGuarded({ argv, env: process.env, cwd: stateDir, log });
  const untilMs = Date.now() + startTimeoutMs;
  while (!(await serves(`127.0.0.1:${port}`))) {
    if (!server.isRunning())
      throw new Error(`The Temporal server ended while it started. Its log: ${log}`);
    if (Date.now() > untilMs)
      throw new Error(
        `The Temporal server did not serve within ${startTimeoutMs / 1_000} s. Its log: ${log}`,
      );
    await sleep(100);
  }
  return server;
}

/** The `temporal` on PATH when it is new enough, else the one of the project's Python environment. */
export async function findTemporal(): Promise<{ readonly path: string; readonly version: string }> {
  const own = fileURLToPath(new URL("../../.venv/bin/temporal", import.meta.url));
  for (const path of ["temporal", ...(existsSync(own) ? [own] : [])]) {
    const { stdout } = await execa(path, ["--version"], { reject: false });
    const [, major, minor, patch] = /version (\d+)\.(\d+)\.(\d+)/.exec(stdout ?? "") ?? [];
    const isNew =
      Number(major) > versionMin[0] ||
      (Number(major) === versionMin[0] && Number(minor) >= versionMin[1]);
    if (isNew) return { path, version: `${major}.${minor}.${patch}` };
  }
  throw new Error(
    `No temporal CLI ${versionMin.join(".")} or newer was found. Run npm run quickstart once (it installs one), or put one on PATH.`,
  );
}

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
