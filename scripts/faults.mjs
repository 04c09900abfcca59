// npm run faults -- --seed N --count M: jobs on the real stack, with what each seed says happening to them under load.
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { main, setUp } from "./setup.mjs";
import { at } from "./steps.mjs";

const usage = `npm run faults -- [--seed N] [--count M] [--steps S]

Runs M jobs (default 1), each with one fault of its first deployment, then S operations and faults (default 6) of its
seed (N, N+1, …; default 1), and tells of each whether it struck. A failing seed does the same again:
npm run faults -- --seed 17

--figures measures instead how long healing takes, a few times for each way to die.
--soak leaves a job alone for so many seconds under requests: nothing of it may change.
--changes has replicas come and go fifty times under steady streams, and tells what clients saw.

Examples:
  npm run faults -- --count 50
  npm run faults -- --seed 17
  npm run faults -- --soak 600`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "1" },
    steps: { type: "string", default: "6" },
    figures: { type: "boolean", default: false },
    soak: { type: "string" },
    changes: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const isCount = (text) => /^[1-9]\d*$/.test(text);

if (values.help) process.stdout.write(`${usage}\n`);
else if (![values.seed, values.count, values.steps, values.soak ?? "1"].every(isCount)) {
  process.stderr.write(
    `--seed, --count, --steps and --soak are whole numbers from 1.\n\n${usage}\n`,
  );
  process.exitCode = 2;
} else {
  await main(setUp);
  const kind = ["figures", "changes", "soak"].find((one) => values[one]) ?? "faults";
  const file = `test/faults/${kind}.test.ts`;
  const env = {
    ...process.env,
    PDJOB_FAULT_SEED: values.seed,
    PDJOB_FAULT_COUNT: values.count,
    PDJOB_FAULT_STEPS: values.steps,
    ...(values.soak ? { PDJOB_SOAK_S: values.soak } : {}),
  };
  const child = spawn(
    process.execPath,
    [at("node_modules", "vitest", "vitest.mjs"), "run", "--project", "faults", file],
    { cwd: at(), env, stdio: ["ignore", "inherit", "inherit"] },
  );
  child.on("close", (code) => (process.exitCode = code ?? 1));
}
