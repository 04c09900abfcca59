// Steps of setting up: each says what it does, how long it took, or that it was up to date. Node built-ins only,
// because this runs before anything is installed.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const at = (...parts) => join(root, ...parts);

/** A set-up that is older than this was killed: its lock is taken over. */
const lockStaleMs = 20 * 60_000;
const lockWaitMs = 15 * 60_000;

/** Runs `work` unless `isDone()`, and prints one line about it. */
export async function step(name, isDone, work) {
  if (isDone()) return process.stdout.write(`  ${name}: up to date\n`);
  process.stdout.write(`  ${name} …\n`);
  const startedMs = Date.now();
  await work();
  process.stdout.write(`  ${name}: done in ${((Date.now() - startedMs) / 1_000).toFixed(1)} s\n`);
}

/** Runs a command; its output is shown only when it fails. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    });
    const output = [];
    child.stdout?.on("data", (part) => output.push(part));
    child.stderr?.on("data", (part) => output.push(part));
    child.on("error", reject);
    child.on("close", (code) => {
      const text = Buffer.concat(output).toString();
      if (code === 0) resolve(text);
      else
        reject(new Error(`${command} ${args.join(" ")} failed (${code}):\n${text.slice(-6_000)}`));
    });
  });
}

/** A digest of files and folders, by path and content. */
export function digest(...paths) {
  const hash = createHash("sha256").update(process.version);
  for (const path of paths.flatMap((one) => filesBelow(at(one))))
    hash.update(relative(root, path)).update("\0").update(readFileSync(path));
  return hash.digest("hex");
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .toSorted()
    .flatMap((name) => filesBelow(join(path, name)));
}

/** Remembers what something was made from. Written last, so that work that was interrupted is done again. */
export const marker = (file, value) => ({
  isCurrent: () => existsSync(file) && readFileSync(file, "utf8") === value,
  write: () => writeFileSync(file, value),
});

/** One set-up of this folder at a time. */
export async function locked(work) {
  const lock = at(".pdjob", "setup.lock");
  mkdirSync(at(".pdjob"), { recursive: true });
  const untilMs = Date.now() + lockWaitMs;
  while (!tryLock(lock)) {
    if (isAbandoned(lock)) rmSync(lock, { recursive: true, force: true });
    else if (Date.now() > untilMs)
      throw new Error(`Another set-up holds ${lock}. If none runs, remove that folder.`);
    else await new Promise((resolve) => setTimeout(resolve, 500));
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function tryLock(lock) {
  try {
    mkdirSync(lock);
    writeFileSync(join(lock, "pid"), String(process.pid));
    return true;
  } catch {
    return false;
  }
}

function isAbandoned(lock) {
  try {
    if (Date.now() - statSync(lock).mtimeMs > lockStaleMs) return true;
    process.kill(Number(readFileSync(join(lock, "pid"), "utf8")), 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}
