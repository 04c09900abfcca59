// Loads a compiled module for a program of this folder; a project that was not set up gets one line, not a stack trace.
import { fileURLToPath } from "node:url";

export async function load(module) {
  try {
    return await import(new URL(`../dist/${module}`, import.meta.url).href);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    const root = fileURLToPath(new URL("..", import.meta.url));
    process.stderr.write(`pdjob is not set up. Run this once: npm --prefix '${root}' run setup\n`);
    process.exit(2);
  }
}
