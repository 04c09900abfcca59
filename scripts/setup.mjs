// Brings a fresh clone to the point where everything runs: npm packages, the Python environment, dist.
import { rmSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { at, digest, locked, marker, run, step } from "./steps.mjs";

const nodeMin = [20, 19];
const pythonMin = [3, 10];
const python = process.platform === "win32" ? "python" : "python3";

export const setUp = () =>
  locked(async () => {
    process.stdout.write("setting up\n");
    checkNode();
    await step("npm packages", npmMarker().isCurrent, installNpm);
    await step("Python environment (Ray, Temporal CLI)", pythonMarker().isCurrent, installPython);
    const { build } = await import("./build.mjs");
    await build();
  });

const npmMarker = () => marker(at("node_modules", ".made-from"), digest("package-lock.json"));
const pythonMarker = () => marker(at(".venv", ".made-from"), digest("agent/requirements-dev.txt"));

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1])) return;
  throw new Error(
    `Node.js ${process.versions.node} is too old: install ${nodeMin.join(".")} or newer.`,
  );
}

async function installNpm() {
  await run("npm", ["ci", "--no-audit", "--no-fund"]);
  npmMarker().write();
}

async function installPython() {
  const version = await run(python, ["-c", "import sys, venv; print(*sys.version_info[:2])"]).catch(
    () => "",
  );
  const [major = 0, minor = 0] = version.trim().split(" ").map(Number);
  if (major < pythonMin[0] || minor < pythonMin[1]) {
    throw new Error(
      `Python ${pythonMin.join(".")} or newer with the venv module is needed, as ${python} (Debian: apt-get install python3-venv). Found: ${version.trim() || "none"}.`,
    );
  }
  // Made anew: what an interrupted installation left behind cannot be trusted.
  rmSync(at(".venv"), { recursive: true, force: true });
  await run(python, ["-m", "venv", at(".venv")]);
  const requirements = ["--require-hashes", "-r", at("agent", "requirements-dev.txt")];
  const uv = await run("uv", ["--version"]).catch(() => "");
  if (uv)
    await run("uv", ["pip", "install", "--python", at(".venv", "bin", "python"), ...requirements]);
  else
    await run(at(".venv", "bin", "python"), [
      "-m",
      "pip",
      "install",
      "--disable-pip-version-check",
      ...requirements,
    ]);
  pythonMarker().write();
}

/** For scripts that end when they are done. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(setUp);
