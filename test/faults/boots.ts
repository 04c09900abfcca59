import { existsSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { logPath, replicaName } from "../../src/domain/names.ts";
import { roles } from "../../src/domain/role.ts";
import { eventually } from "../support/eventually.ts";
import type { Deed, Target } from "./perform.ts";
import { proxyOf, strike } from "./strike.ts";

/** The next process of a proxy runs by then, or its actor is gone. */
const nextProxyWithinMs = 20_000;
let count = 0;

/**
 * The engine that boots next finds these switches. One is made to: a replica that others can stand in for is restarted.
 * While nobody takes the wish, or no role has two, it waits for the next boot that comes.
 */
export async function switchNextEngine(text: string, target: Target): Promise<Deed> {
  const { rig, spec, switches } = target;
  count += 1;
  const file = join(switches, String(count).padStart(6, "0"));
  writeFileSync(`${file}.new`, `${text}\n`);
  renameSync(`${file}.new`, file); // Whole, or not at all.
  const status = await rig.client.status(spec.name).catch(() => undefined);
  const role = roles.find((one) => (status?.ready[one] ?? 0) > 1);
  const restarted = role && replicaName({ role, index: 0 });
  const isTaken =
    restarted !== undefined &&
    (await rig.client.restart(spec.name, restarted).then(
      () => true,
      () => false,
    ));
  const how = isTaken ? `${restarted} restarted` : "for whichever boots next";
  return { struck: () => !existsSync(file), text: `${text}, ${how}` };
}

/** Whatever the next process of this proxy writes meets a full disk: its log is made a link to one, and it is killed. */
export async function fullDiskForProxyLog(
  target: Target,
  name: string | undefined,
  pid: number | undefined,
): Promise<Deed> {
  if (name === undefined || pid === undefined) return { struck: false, text: "nothing there" };
  const log = logPath(target.spec.workingDir, name);
  rmSync(log, { force: true });
  symlinkSync("/dev/full", log);
  const { struck, text } = await strike(pid, "SIGKILL");
  const doneMs = Date.now();
  if (!struck) return { struck, text };
  const next = await eventually(
    "its next process runs",
    async () => {
      const now = await proxyOf(target);
      return now.pid !== undefined && now.pid !== pid ? now.pid : undefined;
    },
    nextProxyWithinMs,
  ).catch(() => undefined);
  return { struck: outputOf(next) === "/dev/full", text: `${text}, next is ${next}`, doneMs };
}

function outputOf(pid: number | undefined): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/1`);
  } catch {
    return undefined;
  }
}
