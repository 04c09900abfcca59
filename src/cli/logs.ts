import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { parseIncarnation, replicaName } from "../domain/names.ts";
import type { Agent } from "../ray/agent.ts";
import { withAgent, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Exit } from "./exit.ts";

const followEveryMs = 500;
const pieceBytes = 256 * 1024;
const tailBytesDefault = 16 * 1024;

export function addLogs(program: Command): void {
  withRay(program.command("logs"))
    .description("print the log of an engine or of the proxy")
    .argument("<job>", "the job's name")
    .argument("<replica>", "prefill-0, decode-1, … or proxy")
    .option("--follow", "go on printing what comes, until Ctrl-C or until it is gone")
    .option("--tail <bytes>", "how much of the end to begin with", Number, tailBytesDefault)
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client logs quickstart decode-0 --follow\n  pdjob-client logs quickstart proxy --tail 2000",
    )
    .action(
      async (
        job: string,
        replica: string,
        flags: ConnectionFlags & { follow?: boolean; tail: number },
      ) => {
        if (!Number.isInteger(flags.tail) || flags.tail < 1)
          throw new Exit(2, "--tail: expected a number of bytes, for example --tail 4096.");
        await withAgent(flags, async (agent) => {
          const name = await incarnationOf(agent, job, replica);
          let piece = await agent.call("logs", { name, maxBytes: flags.tail });
          process.stdout.write(piece.text);
          while (flags.follow) {
            if (piece.offset >= piece.size) await sleep(followEveryMs);
            const next = await agent
              .call("logs", { name, offset: piece.offset, maxBytes: pieceBytes })
              .catch(() => undefined);
            if (!next) return;
            process.stdout.write(next.text);
            piece = next;
          }
        });
      },
    );
}

/** The generation that runs now. */
async function incarnationOf(agent: Agent, job: string, replica: string): Promise<string> {
  const { replicas, proxies } = await agent.call("list", { job });
  const found = [...replicas, ...proxies].filter(({ name }) => {
    const parsed = parseIncarnation(name);
    return (parsed ? replicaName(parsed) : "proxy") === replica;
  });
  const newest = found.toSorted((a, b) => b.generation - a.generation)[0];
  if (newest) return newest.name;
  const names = [...replicas.map(replicaName).toSorted(), ...(proxies.length > 0 ? ["proxy"] : [])];
  const known =
    names.length > 0 ? `It has: ${names.join(", ")}.` : "Nothing of that job runs on this cluster.";
  throw new Exit(4, `Job ${job} has no ${replica} on this cluster. ${known}`);
}
