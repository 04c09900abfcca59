import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { asIdentity, isAlive, isSame, ownIdentity } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** What a running embedded stack tells every other verb. */
export interface DevState extends ProcessIdentity {
  readonly temporalAddress: string;
  readonly namespace: string;
  readonly uiUrl: string;
  readonly rayAddress: string;
  readonly taskQueue: string;
}

/** `PDJOB_STATE_DIR`, else the user's state folder. */
export const defaultStateDir = (): string => process.env["PDJOB_STATE_DIR"] || userStateDir();

export const userStateDir = (): string =>
  join(process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "pdjob");

/** The stack that runs now, or undefined. A file whose process is gone counts as none. */
export function readDevState(stateDir = defaultStateDir()): DevState | undefined {
  const state = stateIn(stateDir);
  return state && isAlive(state) ? state : undefined;
}

/** The folder of the stack's logs below `stateDir`, made if it is missing. */
export function makeLogDir(stateDir: string): string {
  const logDir = join(stateDir, "logs");
  try {
    mkdirSync(logDir, { recursive: true });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : error;
    throw new Error(
      `The state folder ${stateDir} cannot be made or written (${String(code)}): give another with --state-dir or PDJOB_STATE_DIR.`,
      { cause: error },
    );
  }
  return logDir;
}

/** Written whole or not at all. */
export function writeDevState(
  state: Omit<DevState, keyof ProcessIdentity>,
  stateDir: string,
): void {
  mkdirSync(stateDir, { recursive: true });
  const next = `${fileIn(stateDir)}.${process.pid}`;
  writeFileSync(next, JSON.stringify({ ...ownIdentity(), ...state }, null, 2));
  renameSync(next, fileIn(stateDir));
}

/** Does nothing when the file is another stack's. */
export function removeDevState(stateDir: string): void {
  const state = stateIn(stateDir);
  if (state && isSame(state, ownIdentity())) rmSync(fileIn(stateDir), { force: true });
}

function stateIn(stateDir: string): DevState | undefined {
  try {
    const state: DevState = JSON.parse(readFileSync(fileIn(stateDir), "utf8"));
    return asIdentity(state) && state;
  } catch {
    return undefined;
  }
}

const fileIn = (stateDir: string): string => join(stateDir, "dev.json");
