// npm run check: types, lint with the import table, format, dead code, both languages. One line each; all problems shown.
import { delimiter } from "node:path";
import { main, setUp } from "./setup.mjs";
import { at, run } from "./steps.mjs";

const tool = (path) => at("node_modules", ...path.split("/"));
const node = process.execPath;
const python = at(".venv", "bin", "python");

const checks = [
  ["types", node, [tool("typescript/bin/tsc"), "--noEmit"]],
  [
    "lint and imports",
    node,
    [
      tool("oxlint/bin/oxlint"),
      "--type-aware",
      "--deny-warnings",
      "src",
      "test",
      "bench",
      "scripts",
    ],
  ],
  ["format", node, [tool("oxfmt/bin/oxfmt"), "--check", "."]],
  ["dead code", node, [tool("knip/bin/knip.js")]],
  ["python lint", python, ["-m", "ruff", "check", "agent"]],
  ["python format", python, ["-m", "ruff", "format", "--check", "agent"]],
  ["python types", node, [tool("pyright/index.js"), "-p", "agent"]],
];

await main(async () => {
  await setUp();
  const env = {
    ...process.env,
    PATH: [at("node_modules", ".bin"), process.env.PATH].join(delimiter),
  };
  const outcomes = await Promise.all(checks.map((check) => perform(check, env)));
  for (const { name, output } of outcomes.filter(({ output: text }) => text))
    process.stdout.write(`\n${name}\n${output}\n`);
  process.exitCode = outcomes.some(({ output }) => output) ? 1 : 0;
});

async function perform([name, command, args], env) {
  const startedMs = Date.now();
  const output = await run(command, args, { env }).then(
    () => "",
    (error) => error.message,
  );
  process.stdout.write(
    `  ${output ? "FAIL" : "ok  "} ${name} ${((Date.now() - startedMs) / 1_000).toFixed(1)} s\n`,
  );
  return { name, output };
}
