import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { logPath } from "../../src/domain/names.ts";
import type { Target } from "./perform.ts";

const linesMax = 60;

/** What only the job can tell of a run that broke a promise, while it is there: its events, and what its proxies wrote. */
export async function evidenceOf({ rig, spec }: Target): Promise<readonly string[]> {
  const status = await rig.client.status(spec.name).catch(() => undefined);
  const events = status?.events ?? [];
  const folder = dirname(logPath(spec.workingDir, spec.name));
  const logs = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.includes("-proxy-"))
    : [];
  return [
    ...events.map(({ atMs, text }) => `${new Date(atMs).toISOString()} event: ${text}`),
    ...logs.flatMap((name) => tailOf(join(folder, name)).map((line) => `${name}: ${line}`)),
  ];
}

function tailOf(path: string): readonly string[] {
  // One of a full disk is a link to a device without an end.
  const isFile = existsSync(path) && statSync(path).isFile();
  return isFile ? readFileSync(path, "utf8").trimEnd().split("\n").slice(-linesMax) : [];
}
