// The stand-in of vLLM's toy proxy in .venv-toy, for npm run bench:proxy.
import { join } from "node:path";
import { main } from "./setup.mjs";
import { at, digest, locked, marker, step } from "./steps.mjs";
import { makeVenv } from "./venv.mjs";

const venv = at(".venv-toy");
const requirements = "bench/toy/requirements.txt";

await main(() =>
  locked(async () => {
    const made = marker(join(venv, ".made-from"), digest(requirements));
    await step("toy proxy", made.isCurrent, async () => {
      await makeVenv(venv, requirements);
      made.write();
    });
  }),
);
