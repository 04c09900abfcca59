// npm test: set up, every fast test in both languages, and "N passed, N failed" as the last line.
// npm run test:slow: the tests that need real vLLM or a browser. Further arguments go to vitest.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { main, setUp } from "./setup.mjs";
import { at } from "./steps.mjs";

const words = process.argv.slice(2);
const slow = words.includes("--slow");
const filters = words.filter((word) => word !== "--slow");
const reports = at(".pdjob", "reports");

const startedMs = Date.now();

await main(async () => {
  await setUp();
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const counts = [await vitest(), ...(slow || filters.length > 0 ? [] : [await pytest()])];
  const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
  const minutes = ((Date.now() - startedMs) / 60_000).toFixed(1);
  process.stdout.write(`${minutes} minutes in all, with setting up\n`);
  const skipped = sum("skipped") > 0 ? `, ${sum("skipped")} skipped` : "";
  process.stdout.write(`${sum("passed")} passed, ${sum("failed")} failed${skipped}\n`);
  process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
});

async function vitest() {
  const file = at(".pdjob", "reports", "vitest.json");
  const names = slow ? ["slow"] : ["unit", "simulation", "e2e"];
  const projects = names.flatMap((name) => ["--project", name]);
  // Slow tests are told one by one: a file of them takes minutes.
  const reporter = slow ? "verbose" : "default";
  const reporters = [`--reporter=${reporter}`, "--reporter=json", `--outputFile.json=${file}`];
  const code = await show(process.execPath, [
    at("node_modules", "vitest", "vitest.mjs"),
    "run",
    ...projects,
    ...reporters,
    ...filters,
  ]);
  if (!existsSync(file)) return crashed(code);
  const {
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: skipped,
  } = JSON.parse(readFileSync(file, "utf8"));
  return settle({ passed, failed, skipped }, code);
}

async function pytest() {
  const file = at(".pdjob", "reports", "pytest.xml");
  const code = await show(
    at(".venv", "bin", "python"),
    ["-m", "pytest", "-q", `--junitxml=${file}`],
    at("agent"),
  );
  if (!existsSync(file)) return crashed(code);
  const [suite = ""] = /<testsuite [^>]*>/.exec(readFileSync(file, "utf8")) ?? [];
  const count = (name) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  return settle(
    { passed: count("tests") - failed - count("skipped"), failed, skipped: count("skipped") },
    code,
  );
}

/** A runner that fails without a failed test (an error outside any test) counts as one failure. */
function settle(count, code) {
  return code !== 0 && count.failed === 0 ? { ...count, failed: 1 } : count;
}

function crashed(code) {
  return settle({ passed: 0, failed: 0, skipped: 0 }, code || 1);
}

function show(command, args, cwd = at()) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}
