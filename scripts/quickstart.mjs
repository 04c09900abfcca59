// npm run quickstart: set up, then the verb of the same name.
import { spawn } from "node:child_process";
import { main, setUp } from "./setup.mjs";
import { at } from "./steps.mjs";

const parentEveryMs = 500;

await main(setUp);
// In a group of its own: a terminal's Ctrl-C goes to every process of ours at once, and the verb is to hear it once,
// whoever was told.
const child = spawn(
  process.execPath,
  [at("bin", "pdjob-client"), "quickstart", ...process.argv.slice(2)],
  { stdio: "inherit", detached: true },
);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("close", (code) => process.exit(code ?? 1));

// npm passes a signal on to its shell, which dies of it without a word to us.
const parent = process.ppid;
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  child.kill("SIGTERM");
}, parentEveryMs);
