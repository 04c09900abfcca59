import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asIdentity, isAlive, ownIdentity } from "./process-identity.ts";

const prefix = "pdjob-";
/** Says whose folder it is, so that a later process knows whether anybody still uses it. */
const ownerFile = "pdjob-owner.json";

/** A folder of this process. Its name is short, because Ray puts Unix sockets below it and their paths may have 107 bytes. */
export function makeTempDir(parent = tmpdir()): string {
  const dir = mkdtempSync(join(parent, prefix));
  writeFileSync(join(dir, ownerFile), JSON.stringify(ownIdentity()));
  return dir;
}

/** Removes the folders of processes that were killed before they could do it. Only what `makeTempDir` made, and only ours. */
export function collectTempDirs(parent = tmpdir()): void {
  for (const name of readdirSync(parent).filter((one) => one.startsWith(prefix))) {
    const dir = join(parent, name);
    try {
      const stat = lstatSync(dir);
      if (!stat.isDirectory() || stat.uid !== process.getuid?.()) continue;
      const owner = asIdentity(JSON.parse(readFileSync(join(dir, ownerFile), "utf8")));
      if (owner && !isAlive(owner)) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // It has no owner's mark, or somebody else collects it at this moment.
    }
  }
}
