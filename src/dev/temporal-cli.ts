import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { execa } from "execa";

/** Older CLIs embed servers that lack what the workflow uses. */
const versionMin = [1, 9] as const;

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
    `No temporal CLI ${versionMin.join(".")} or newer was found. Run npm run setup (it installs one), or put one on PATH.`,
  );
}
