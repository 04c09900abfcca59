import { unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { parseArgs } from "node:util";
import { createAdminServer } from "./admin.ts";
import { createLegs } from "./legs.ts";
import { createPool } from "./membership.ts";
import { createProxyMetrics } from "./metrics.ts";
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
  },
});

const handOver = values["hand-over"];
if (handOver !== "params" && handOver !== "store") {
  log(`--hand-over is params or store, not ${handOver}`);
  process.exit(2);
}
const pool = createPool();
const legs = createLegs();
const metrics = createProxyMetrics(pool);
const { server, stop } = createProxyServer({ pool, legs, metrics, handOver, log });
const admin = createAdminServer({ pool, metrics, log });
const socket = process.env["PDJOB_ADMIN_SOCKET"];

listen(server, { host: values.host, port: Number(values.port) }, `${values.host}:${values.port}`);
if (socket === undefined)
  log("PDJOB_ADMIN_SOCKET is not set: nobody can give this proxy its members");
else listenOnSocket(socket);
process.once("SIGTERM", shutDown);
process.once("SIGINT", shutDown);

function listen(
  target: Server,
  where: { host: string; port: number } | { path: string },
  name: string,
): void {
  target.on("error", (error: NodeJS.ErrnoException) => {
    const advice =
      error.code === "EADDRINUSE"
        ? "another program has it: free it, or choose another scheduler.port"
        : error.message;
    log(`cannot listen on ${name}: ${advice}`);
    process.exit(1);
  });
  target.listen(where, () => log(`proxy of job ${values.job}: listening on ${name}`));
}

function listenOnSocket(path: string): void {
  try {
    unlinkSync(path); // Left behind by a proxy that was killed; two of one name never run at a time.
  } catch {
    // There was none.
  }
  listen(admin, { path }, path);
}

/** Streams end first, for a bounded time; what is left then ends with an explicit error. */
function shutDown(): void {
  const graceMs = Math.max(0, Number(values["drain-timeout"]) * 1_000 - exitMarginMs);
  log(`stopping: no new connections, ${graceMs / 1_000} s for those that run`);
  void stop(graceMs).then(() => process.exit(0));
}
