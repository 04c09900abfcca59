// Boot time and memory of real engines on this machine, for docs/real-engines.md: one, two and three at a time, each
// pair or trio as prefill and decode with NIXL. Takes about six minutes on 2 cores. Nothing else should run meanwhile.
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { setUpVllm } from "./setup-vllm.mjs";
import { main } from "./setup.mjs";
import { at, run } from "./steps.mjs";

const bootTimeoutMs = 600_000;
/** Long enough after the last boot for what was only needed for it to be given back. */
const settleMs = 5_000;
const firstPort = 23_800;
const flags =
  "--served-model-name tiny --dtype float32 --enforce-eager --max-model-len 512 --max-num-seqs 4 --kv-cache-memory-bytes 256M";

await main(async () => {
  await setUpVllm();
  const dir = mkdtempSync(join(tmpdir(), "pdjob-measure-"));
  const model = join(dir, "model");
  await run(at(".venv-vllm/bin/python"), [at("scripts/make-tiny-model.py"), model]);
  process.stdout.write(`${cpus().length} cores, ${gib(totalmem())} GiB\n`);
  process.stdout.write("engines  healthy after (s)  RSS (GiB)  PSS (GiB)  by process, PSS (GiB)\n");
  for (const roles of [["aggregated"], ["prefill", "decode"], ["prefill", "prefill", "decode"]])
    process.stdout.write(`${await measure(roles, model, dir)}\n`);
  rmSync(dir, { recursive: true, force: true });
});

async function measure(roles, model, dir) {
  const engines = roles.map((role, index) => start(role, index, model, dir));
  try {
    const seconds = await Promise.all(engines.map(untilHealthy));
    await sleep(settleMs);
    const rows = engines.flatMap(({ child }) => tree(child.pid));
    const sum = (key) => gib(rows.reduce((total, row) => total + row[key], 0));
    const each = ["API", "VLLM::EngineCore", "VLLM::Worker"].map((name) => {
      const own = rows.filter((row) => row.name === name);
      return `${name} ${gib(own.reduce((total, { pss }) => total + pss, 0) / own.length)}`;
    });
    const boots = seconds.map((one) => one.toFixed(0)).join(", ");
    return [roles.length, boots, sum("rss"), sum("pss"), each.join(", ")].join("  ");
  } finally {
    for (const { child } of engines)
      for (const { pid } of tree(child.pid).toReversed()) process.kill(pid, "SIGKILL");
  }
}

function start(role, index, model, dir) {
  const port = firstPort + index * 2;
  const kv = { kv_connector: "NixlConnector", kv_buffer_device: "cpu" };
  const kvRole = role === "prefill" ? "kv_producer" : "kv_consumer";
  const kvFlags =
    role === "aggregated"
      ? []
      : ["--kv-transfer-config", JSON.stringify({ ...kv, kv_role: kvRole })];
  const log = openSync(join(dir, `${role}-${index}.log`), "a");
  const child = spawn(
    at(".venv-vllm/bin/vllm"),
    [
      "serve",
      model,
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      ...flags.split(" "),
      ...kvFlags,
    ],
    {
      stdio: ["ignore", log, log],
      env: {
        ...process.env,
        HF_HUB_OFFLINE: "1",
        OMP_NUM_THREADS: "1",
        VLLM_CPU_OMP_THREADS_BIND: "nobind",
        UCX_TLS: "tcp,sm,self",
        VLLM_NIXL_SIDE_CHANNEL_HOST: "127.0.0.1",
        VLLM_NIXL_SIDE_CHANNEL_PORT: String(port + 1),
      },
    },
  );
  return { child, port, startedMs: Date.now() };
}

async function untilHealthy({ child, port, startedMs }) {
  while (Date.now() - startedMs < bootTimeoutMs) {
    if (child.exitCode !== null) throw new Error(`An engine ended with code ${child.exitCode}.`);
    const status = await fetch(`http://127.0.0.1:${port}/health`).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status === 200) return (Date.now() - startedMs) / 1_000;
    await sleep(200);
  }
  throw new Error(`An engine is not healthy after ${bootTimeoutMs / 1_000} s.`);
}

/** A process and everything below it, with its memory in bytes. */
function tree(root) {
  const rows = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid));
  const below = (pid) =>
    rows
      .filter((row) => parentOf(row) === pid)
      .flatMap((row) => [Number(row), ...below(Number(row))]);
  return [root, ...below(root)].map((pid) => ({ pid, name: nameOf(pid, root), ...memoryOf(pid) }));
}

function parentOf(pid) {
  return Number(
    read(pid, "stat")
      .replace(/^.*\) /s, "")
      .split(" ")[1],
  );
}

function nameOf(pid, root) {
  return pid === root ? "API" : (read(pid, "cmdline").split("\0")[0] ?? "").trim();
}

function memoryOf(pid) {
  const text = read(pid, "smaps_rollup");
  const bytes = (key) =>
    Number(new RegExp(`^${key}: +(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1_024;
  return { rss: bytes("Rss"), pss: bytes("Pss") };
}

function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // It ended meanwhile.
  }
}

function gib(bytes) {
  return (bytes / 1_073_741_824).toFixed(2);
}
