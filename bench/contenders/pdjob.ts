import { request } from "node:http";
import { join } from "node:path";
import type { Contender, World } from "../contender.ts";
import { freePorts, startProgram } from "../program.ts";

const socketOf = (dir: string): string => join(dir, "admin.sock");

/** The built-in proxy, as a job runs it. */
export const pdjob: Contender = {
  name: "pdjob",
  hops: 2,
  warmsUp: true,
  async start(world) {
    const { root, dir } = world;
    const [port = 0] = await freePorts(1);
    const program = startProgram({
      name: "pdjob",
      command: process.execPath,
      args: [join(root, "dist", "pdjob-proxy.mjs"), "--port", String(port), "--job", "bench"],
      env: { PDJOB_ADMIN_SOCKET: socketOf(dir) },
      dir,
      port,
    });
    await untilTold(world);
    return { port, ...(await program), version: `Node.js ${process.versions.node}` };
  },
};

async function untilTold(world: World): Promise<void> {
  for (let left = 100; ; left--) {
    try {
      return await tell(world, 1, world.decodePorts);
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The members, as the orchestrator tells them. */
export function tell(
  { dir, prefillPorts }: World,
  generation: number,
  decodePorts: readonly number[],
): Promise<void> {
  const memberOf = (role: string) => (port: number, index: number) => ({
    name: `bench-${role}-${index}-g1`,
    role,
    url: `http://127.0.0.1:${port}`,
  });
  const members = [
    ...prefillPorts.map(memberOf("prefill")),
    ...decodePorts.map(memberOf("decode")),
  ];
  return new Promise((resolve, reject) => {
    const sending = request(
      { socketPath: socketOf(dir), path: "/membership", method: "PUT" },
      (answer) => {
        answer.resume();
        if (answer.statusCode === 200) answer.on("end", resolve);
        else reject(new Error(`PUT /membership: ${answer.statusCode}`));
      },
    );
    sending.on("error", reject).end(JSON.stringify({ generation, members }));
  });
}
