// npm run quickstart: set up, then the verb of the same name.
import { spawn } from "node:child_process";
import { main, setUp } from "./setup.mjs";
import { at } from "./steps.mjs";

await main(setUp);
const child = spawn(
  process.execPath,
  [at("bin", "pdjob-client"), "quickstart", ...process.argv.slice(2)],
  { stdio: "inherit" },
);
// Ctrl-C reaches the verb too; it stops everything and then ends, and so do we.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => signal === "SIGINT" || child.kill(signal));
child.on("close", (code) => process.exit(code ?? 1));
