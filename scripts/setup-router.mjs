// vllm-router in .venv-router, for the slow test that runs it.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { main } from "./setup.mjs";
import { at, digest, locked, marker, step } from "./steps.mjs";
import { makeVenv } from "./venv.mjs";

const venv = at(".venv-router");
const requirements = "agent/requirements-router.txt";

export const setUpRouter = () =>
  locked(async () => {
    const made = marker(join(venv, ".made-from"), digest(requirements));
    await step("vllm-router", made.isCurrent, async () => {
      await makeVenv(venv, requirements);
      made.write();
    });
  });

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(setUpRouter);
