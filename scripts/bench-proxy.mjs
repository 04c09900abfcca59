// npm run bench:proxy: the built-in proxy beside others. bench/ is TypeScript, and made into one file first.
import { pathToFileURL } from "node:url";
import { main } from "./setup.mjs";
import { build } from "./build.mjs";
import { at, locked, root } from "./steps.mjs";

const say = (line) => void process.stderr.write(`${line}\n`);

await main(async () => {
  const outfile = at(".pdjob", "bench", "bench.mjs");
  const { build: bundle } = await import("esbuild");
  await bundle({
    entryPoints: [at("bench", "main.ts")],
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
  const { bench, readOptions, usage } = await import(pathToFileURL(outfile).href);
  const options = readOptions(process.argv.slice(2));
  if (options === "help") return process.stdout.write(`${usage}\n`);
  await locked(build);
  process.stdout.write(await bench({ root, options, say }));
});
