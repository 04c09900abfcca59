// npm run faults -- --seed N --count M: jobs on the real stack, with what each seed says happening to them under load.
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { main, setUp } from "./setup.mjs";
import { at } from "./steps.mjs";

const usage = `npm run faults -- [--seed N] [--count M]

Runs M jobs (default 1), each with the operations and faults of its seed (N, N+1, …; default 1). A failing seed does the
same again: npm run faults -- --seed 17

Examples:
  npm run faults -- --count 50
  npm run faults -- --seed 17`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});
const isCount = (text) => /^[1-9]\d*$/.test(text);

if (values.help) process.stdout.write(`${usage}\n`);
else if (!isCount(values.seed) || !isCount(values.count)) {
  process.stderr.write(`--seed and --count are whole numbers from 1.\n\n${usage}\n`);
  process.exitCode = 2;
} else {
  await main(setUp);
  const env = {
    ...process.env,
    PDJOB_FAULT_SEED: values.seed,
    PDJOB_FAULT_COUNT: values.count,
  };
  const child = spawn(
    process.execPath,
    [at("node_modules", "vitest", "vitest.mjs"), "run", "--project", "faults"],
    { cwd: at(), env, stdio: ["ignore", "inherit", "inherit"] },
  );
  child.on("close", (code) => (process.exitCode = code ?? 1));
}
