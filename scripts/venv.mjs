// A Python environment from a complete list of pins with hashes: what they need in turn is among them, hence --no-deps.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { at, run } from "./steps.mjs";

export async function makeVenv(venv, requirements) {
  const python = join(venv, "bin", "python");
  rmSync(venv, { recursive: true, force: true });
  await run("python3", ["-m", "venv", venv]);
  const pins = ["--no-deps", "--require-hashes", "-r", at(requirements)];
  const uv = await run("uv", ["--version"]).catch(() => "");
  // Compiled now, as pip does: vLLM would compile itself at every start where Python may not write.
  const install = ["pip", "install", "--compile-bytecode", "--python", python];
  if (uv) await run("uv", [...install, ...pins]);
  else await run(python, ["-m", "pip", "install", "--disable-pip-version-check", ...pins]);
}
