import { fileURLToPath } from "node:url";
import { execa } from "execa";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Runs one of our programs as a shell would, with nothing of this machine's own settings to find. */
export async function runProgram(
  program: "pdjob-client" | "pdjob-worker",
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
) {
  const nowhere = {
    PDJOB_STATE_DIR: "/nonexistent",
    XDG_CONFIG_HOME: "/nonexistent",
    RAY_ADDRESS: "",
    NO_COLOR: "1",
  };
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [`${root}bin/${program}`, ...words],
    { env: { ...nowhere, ...env }, cwd: root, reject: false },
  );
  return { exitCode, stdout, stderr };
}

/** What the programs run is made from the sources as they are now. */
export const buildPrograms = async (): Promise<void> =>
  void (await execa(process.execPath, [`${root}scripts/build.mjs`]));
