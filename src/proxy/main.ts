import { unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { parseArgs } from "node:util";
import { createAdminServer } from "./admin.ts";
import { proxyKeysVariable, readKeys } from "./admission/auth.ts";
import { createLegs, defaultLimits } from "./attempt/legs.ts";
import { limitFlags, readLimits } from "./admission/limits.ts";
import { createPool } from "./members/membership.ts";
import { createProxyMetrics } from "./metrics.ts";
import { readSelection, selectionFlags } from "./selection/selection.ts";
import { createProxyServer } from "./server.ts";

/** Between the last error events and the SIGKILL of a guard that gives us just as long. */
const exitMarginMs = 750;

const log = (text: string): void =>
  void process.stderr.write(`${new Date().toISOString()} ${text}\n`);

// A full disk costs lines of the log, and no request.
process.stderr.on("error", () => undefined);

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "0.0.0.0" },
    port: { type: "string", default: "8021" },
    job: { type: "string", default: "" },
    "hand-over": { type: "string", default: "params" },
    "drain-timeout": { type: "string", default: "30" },
    ...selectionFlags,
    ...limitFlags,
  },
});

const handOver = values["hand-over"];
if (handOver !== "params" && handOver !== "store") {
  log(`--hand-over is params or store, not ${handOver}`);
  process.exit(2);
}
const limits = orExit(() => readLimits(values));
const pool = createPool({ selection: orExit(() => readSelection(values)) });
const auth = orExit(() => readKeys(process.env[proxyKeysVariable]));
const legs = createLegs(defaultLimits, auth?.engines);
const metrics = createProxyMetrics(pool);
const clients = createProxyServer({ pool, legs, metrics, handOver, log, limits, keys: auth?.keys });
const admin = createAdminServer({ pool, metrics, clients, open, log });
const socket = process.env["PDJOB_ADMIN_SOCKET"];
/** A socket that listens already, and outlives this process: who comes before we accept waits. */
const listener = process.env["PDJOB_LISTEN_FD"];
let opened: Promise<void> | undefined;

if (socket === undefined) {
  log("PDJOB_ADMIN_SOCKET is not set: nobody can give this proxy its members");
  void open();
} else listenOnSocket(socket);
process.once("SIGTERM", shutDown);
process.once("SIGINT", shutDown);

function orExit<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    log((error as Error).message);
    process.exit(2);
  }
}

/** Clients come in once there are members, so that nobody who came early is told that there are none. */
function open(): Promise<void> {
  opened ??= listen(
    clients.server,
    listener === undefined
      ? { host: values.host, port: Number(values.port) }
      : { fd: Number(listener) },
    `${values.host}:${values.port}`,
  );
  return opened;
}

function listen(
  target: Server,
  where: { host: string; port: number } | { path: string } | { fd: number },
  name: string,
): Promise<void> {
  target.on("error", (error: NodeJS.ErrnoException) => {
    const advice =
      error.code === "EADDRINUSE"
        ? "another program has it: free it, or choose another scheduler.port"
        : error.message;
    log(`cannot listen on ${name}: ${advice}`);
    process.exit(1);
  });
  return new Promise((resolve) => {
    target.listen(where, () => {
      log(`proxy of job ${values.job}: listening on ${name}`);
      resolve();
    });
  });
}

function listenOnSocket(path: string): void {
  try {
    unlinkSync(path); // Left behind by a proxy that was killed; two of one name never run at a time.
  } catch {
    // There was none.
  }
  void listen(admin, { path }, path);
}

/** Streams end first, for a bounded time; what is left then ends with an explicit error. */
function shutDown(): void {
  const graceMs = Math.max(0, Number(values["drain-timeout"]) * 1_000 - exitMarginMs);
  log(`stopping: no new connections, ${graceMs / 1_000} s for those that run`);
  void clients.stop(graceMs).then(() => process.exit(0));
}
