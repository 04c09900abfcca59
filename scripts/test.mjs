// npm test: set up, the tests in both languages but for those of `onlyThorough`, and "N passed, N failed" as the last line.
// npm test -- --thorough: what CI runs, about twice as long: more random cases, and the files of `onlyThorough`.
// npm run test:slow: the tests that need real vLLM or a browser. Further arguments go to vitest.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { relative } from "node:path";
import { createInterface } from "node:readline";
import { main, setUp } from "./setup.mjs";
import { at } from "./steps.mjs";

const words = process.argv.slice(2);
const slow = words.includes("--slow");
if (words.includes("--thorough")) process.env["PDJOB_THOROUGH"] = "1";
const isThorough = process.env["PDJOB_THOROUGH"] === "1";
const filters = words.filter((word) => word !== "--slow" && word !== "--thorough");
const reports = at(".pdjob", "reports");

const fast = ["unit", "simulation", "e2e", "own-stack"];

/** Tests on a real stack that take minutes each: a quarter of an hour is to be enough for `npm test`, installing included. */
const onlyThorough = [
  "apply",
  "canary",
  "connectors",
  "degraded",
  "external-proxy",
  "external-update",
  "frozen-core",
  "logs",
  "membership",
  "proxy-replacement",
  "racing-jobs",
  "upload",
  "own-stack/faults",
  "own-stack/gang",
].map((name) => `test/e2e/${name}.test.ts`);

const none = { passed: 0, failed: 0, skipped: 0 };
const startedMs = Date.now();

await main(async () => {
  await setUp();
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const counts = slow || filters.length > 0 ? [await chosen()] : await all();
  const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
  const minutes = ((Date.now() - startedMs) / 60_000).toFixed(1);
  for (const failure of counts.flatMap((count) => count.failures ?? []))
    process.stdout.write(`failed: ${failure}\n`);
  process.stdout.write(`${minutes} minutes in all, with setting up\n`);
  if (!isThorough && !slow && filters.length === 0)
    process.stdout.write(
      `Left out, and played by npm test -- --thorough as in CI: ${onlyThorough.length} files on the real stack\n`,
    );
  const skipped = sum("skipped") > 0 ? `, ${sum("skipped")} skipped` : "";
  process.stdout.write(`${sum("passed")} passed, ${sum("failed")} failed${skipped}\n`);
  process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
});

// Slow tests are told one by one: a file of them takes minutes.
function chosen() {
  return slow ? vitest(["slow"], show, "verbose") : vitest(fast, show);
}

/**
 * Two lanes: small tests first, and then those on a real stack, which wait more than they compute.
 * Stories do nothing but compute, so they come last and get both processors to themselves.
 */
async function all() {
  const gone = onlyThorough.filter((file) => !existsSync(at(file)));
  if (gone.length > 0)
    throw new Error(`scripts/test.mjs names files that are gone: ${gone.join()}`);
  const left = isThorough ? [] : onlyThorough.map((file) => `--exclude=${file}`);
  const lanes = await Promise.all([
    inTurn(
      () => vitest(["unit"], beside("unit")),
      () => vitest(["e2e"], beside("e2e"), "default", left),
    ),
    inTurn(
      () => pytest(beside("python")),
      () => vitest(["own-stack"], beside("own-stack"), "default", left),
    ),
  ]);
  const last = await inTurn(() => vitest(["simulation"], beside("simulation")));
  return [...lanes.flat(), ...last];
}

/** One that throws is a failure like any other: the rest is to be counted, too. */
async function inTurn(...runs) {
  const counts = [];
  for (const run of runs)
    counts.push(await run().catch(({ message }) => ({ ...none, failed: 1, failures: [message] })));
  return counts;
}

async function vitest(names, run, reporter = "default", more = []) {
  const file = at(".pdjob", "reports", `${names[0]}.json`);
  const projects = names.flatMap((name) => ["--project", name]);
  const reporters = [`--reporter=${reporter}`, "--reporter=json", `--outputFile.json=${file}`];
  const program = at("node_modules", "vitest", "vitest.mjs");
  const code = await run([
    process.execPath,
    program,
    "run",
    ...projects,
    ...reporters,
    ...more,
    ...filters,
  ]);
  const who = names.join(", ");
  if (!existsSync(file)) return crashed(who, code);
  const {
    numPassedTests: passed,
    numPendingTests: skipped,
    testResults,
  } = JSON.parse(readFileSync(file, "utf8"));
  const failures = testResults.flatMap(failuresOf);
  return settle(who, { passed, failed: failures.length, skipped, failures }, code);
}

/** What failed in one file, told again at the very end: two lanes print between each other. */
function failuresOf({ name, status, message, assertionResults }) {
  const tests = assertionResults.filter((test) => test.status === "failed");
  const where = relative(at(), name);
  if (tests.length === 0) return status === "failed" ? [`${where}: ${message}`] : [];
  return tests.map((test) => `${where} > ${test.fullName}\n${ownLines(test.failureMessages)}`);
}

function ownLines(messages) {
  const lines = messages.join("\n").split("\n");
  return lines.filter((line) => !line.includes("node_modules")).join("\n");
}

async function pytest(run) {
  const file = at(".pdjob", "reports", "pytest.xml");
  const python = at(".venv", "bin", "python");
  const code = await run([python, "-m", "pytest", "-q", `--junitxml=${file}`], at("agent"));
  if (!existsSync(file)) return crashed("pytest", code);
  const report = readFileSync(file, "utf8");
  const [suite = ""] = /<testsuite [^>]*>/.exec(report) ?? [];
  const count = (name) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  const skipped = count("skipped");
  const failures = [
    ...report.matchAll(
      /classname="([^"]*)" name="([^"]*)"[^>]*><(?:failure|error) message="([^"]*)/g,
    ),
  ].map(([, where, test, message]) => `${where} > ${test}\n${message}`);
  return settle(
    "pytest",
    { passed: count("tests") - failed - skipped, failed, skipped, failures },
    code,
  );
}

/** A runner that fails without a failed test (an error outside any test) counts as one failure. */
function settle(who, count, code) {
  if (code === 0 || count.failed > 0) return count;
  const failure = `${who} ended with code ${code} outside any test: see its lines above`;
  return { ...count, failed: 1, failures: [failure] };
}

function crashed(who, code) {
  return settle(who, none, code || 1);
}

function show(argv, cwd = at()) {
  return ended(spawn(argv[0], argv.slice(1), { cwd, stdio: ["ignore", "inherit", "inherit"] }));
}

/** As `show`, but each line says whose it is. */
function beside(name) {
  return async ([command, ...args], cwd = at()) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) =>
        process.stdout.write(`${name.padEnd(10)} | ${line}\n`),
      );
    return ended(child);
  };
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}
