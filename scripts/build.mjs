// src → dist: compiled modules, the built-in proxy and the CLI in few files, the workflow bundle.
import { chmodSync, readdirSync, rmSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { at, digest, locked, marker, run, step } from "./steps.mjs";

export async function build() {
  const made = marker(
    at("dist", ".made-from"),
    digest("src", "package-lock.json", "tsconfig.json", "tsconfig.build.json", "scripts/build.mjs"),
  );
  await step("build", made.isCurrent, async () => {
    rmSync(at("dist"), { recursive: true, force: true });
    await run(process.execPath, [
      at("node_modules", "typescript", "bin", "tsc"),
      "-p",
      "tsconfig.build.json",
    ]);
    await Promise.all([bundleProxy(), bundleCli(), bundleWorkflows()]);
    for (const name of readdirSync(at("bin"))) chmodSync(at("bin", name), 0o755);
    made.write();
  });
}

async function bundle(options) {
  const { build: esbuild } = await import("esbuild");
  await esbuild({
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    // CommonJS packages require Node's modules at run time.
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    ...options,
  });
}

const bundleProxy = () =>
  bundle({
    entryPoints: [at("src", "proxy", "main.ts")],
    outfile: at("dist", "pdjob-proxy.mjs"),
  });

/** Four hundred modules would take twice as long to load. It finds the project two folders up, as its sources do. */
const bundleCli = () =>
  bundle({
    entryPoints: [at("src", "cli", "main.ts")],
    outdir: at("dist", "pdjob-client"),
    splitting: true,
    sourcemap: true,
    external: ["@temporalio/*"],
  });

async function bundleWorkflows() {
  const { bundleWorkflowCode, DefaultLogger } = await import("@temporalio/worker");
  const { code } = await bundleWorkflowCode({
    workflowsPath: at("dist", "workflows", "index.js"),
    logger: new DefaultLogger("WARN"),
  });
  const { writeFile } = await import("node:fs/promises");
  await writeFile(at("dist", "workflow-bundle.js"), code);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await locked(build);
