import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** What a running embedded stack tells every other verb. */
export interface DevState {
  readonly pid: number;
  readonly temporalAddress: string;
  readonly namespace: string;
  readonly uiUrl: string;
  readonly rayAddress: string;
  readonly taskQueue: string;
}

/** `PDJOB_STATE_DIR`, else the user's state folder. */
export const defaultStateDir = (): string =>
  process.env["PDJOB_STATE_DIR"] ??
  join(process.env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state"), "pdjob");

/** The stack that runs now, or undefined. A file whose process is gone counts as none. */
export function readDevState(stateDir = defaultStateDir()): DevState | undefined {
  try {
    const state = JSON.parse(readFileSync(fileIn(stateDir), "utf8")) as DevState;
    process.kill(state.pid, 0);
    return state;
  } catch {
    return undefined;
  }
}

/** Written whole or not at all. */
export function writeDevState(state: DevState, stateDir: string): void {
  mkdirSync(stateDir, { recursive: true });
  const next = `${fileIn(stateDir)}.${process.pid}`;
  writeFileSync(next, JSON.stringify(state, null, 2));
  renameSync(next, fileIn(stateDir));
}

export const removeDevState = (stateDir: string): void => rmSync(fileIn(stateDir), { force: true });

const fileIn = (stateDir: string): string => join(stateDir, "dev.json");
