import { execa } from "execa";
import type { Command } from "commander";
import { findTemporal } from "../dev/temporal.ts";
import { connectAgent, findPython } from "../ray/agent.ts";
import { rayAddressOf, withClient, withConnection, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";
import { colour, columns, print, printJson } from "./output.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found, or what is wrong and what to do. */
  readonly text: string;
}

const nodeMin = [20, 19] as const;

export function addDoctor(program: Command): void {
  withRay(withConnection(program.command("doctor")))
    .description("check everything a job needs, each with what to do about it")
    .option("--json", "print the checks as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client doctor\n  pdjob-client doctor --ray-address 10.0.0.4:6379 --address temporal:7233",
    )
    .action(async (flags: ConnectionFlags & { json?: boolean }) => {
      const checks = [
        checkNode(),
        await check("python", checkPython),
        ...(await checkTemporal(flags)),
        await check("temporal CLI", checkCli),
        await check("ray", () => checkRay(flags)),
      ];
      if (flags.json) printJson(checks);
      else
        print(
          columns(
            checks.map(({ name, ok, text }) => [
              ok ? colour("green", "ok") : colour("red", "FAIL"),
              name,
              text,
            ]),
          ),
        );
      if (checks.some(({ ok }) => !ok)) throw new Exit(1);
    });
}

async function check(name: string, look: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, text: await look() };
  } catch (error) {
    return { name, ok: false, text: (error as Error).message.split("\n", 1)[0] ?? "" };
  }
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  return {
    name: "node",
    ok,
    text: ok
      ? process.version
      : `${process.version}: install Node.js ${nodeMin.join(".")} or newer`,
  };
}

async function checkPython(): Promise<string> {
  const { stdout, failed } = await execa(
    findPython(),
    ["-c", "import ray, sys; print(sys.version.split()[0], 'with Ray', ray.__version__)"],
    { reject: false },
  );
  if (failed)
    throw new Error(
      `${findPython()} cannot import Ray: run npm run quickstart once, or set PDJOB_PYTHON to a Python with the cluster's Ray`,
    );
  return `${stdout} (${findPython()})`;
}

async function checkCli(): Promise<string> {
  const { path, version } = await findTemporal();
  return `${version} (${path})`;
}

async function checkTemporal(flags: ConnectionFlags): Promise<readonly Check[]> {
  try {
    return await withClient(flags, async (client) => [
      await check(
        "temporal",
        async () =>
          `server ${await client.serverVersion()} at ${client.address}, namespace ${client.namespace}`,
      ),
      await check("worker", async () => {
        const count = await client.pollers();
        if (count > 0) return `${count} polled the task queue within the last minutes`;
        throw new Error(
          "no worker polls the task queue: start one with pdjob-worker --ray-address HOST:PORT",
        );
      }),
    ]);
  } catch (error) {
    return [{ name: "temporal", ok: false, text: (error as Error).message }];
  }
}

async function checkRay(flags: ConnectionFlags): Promise<string> {
  const rayAddress = rayAddressOf(flags);
  const agent = connectAgent({ rayAddress });
  try {
    const { rayVersion } = await agent.call("ping", {});
    const { nodes } = await agent.call("nodes", {});
    const alive = nodes.filter((node) => node.alive);
    const sum = (kind: "total" | "available") =>
      alive.reduce((gpus, node) => gpus + node[kind].GPU, 0);
    return `${rayVersion} at ${rayAddress}: ${alive.length} nodes, ${sum("available")} of ${sum("total")} GPUs free`;
  } finally {
    await agent.close();
  }
}
