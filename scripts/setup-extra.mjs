// What single slow tests and the bench need besides, each in a Python environment .venv-NAME of its own:
// `node scripts/setup-extra.mjs router`, `… clients`, `… toy`.
import { join } from "node:path";
import { main } from "./setup.mjs";
import { at, digest, locked, marker, step } from "./steps.mjs";
import { makeVenv } from "./venv.mjs";

const extras = new Map([
  ["router", ["vllm-router", "agent/requirements-router.txt"]],
  ["clients", ["OpenAI's SDK for Python and aiperf", "agent/requirements-clients.txt"]],
  ["toy", ["toy proxy", "bench/toy/requirements.txt"]],
]);

await main(() =>
  locked(async () => {
    const name = process.argv[2] ?? "";
    const [what, requirements] = extras.get(name) ?? [];
    if (!what) throw new Error(`say which: ${[...extras.keys()].join(", ")}`);
    const venv = at(`.venv-${name}`);
    const made = marker(join(venv, ".made-from"), digest(requirements));
    await step(what, made.isCurrent, async () => {
      await makeVenv(venv, requirements);
      made.write();
    });
  }),
);
