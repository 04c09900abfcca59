import { connectAgent, findPython } from "../ray/agent.ts";
import type { Agent } from "../ray/agent.ts";
import type { VerbResult } from "../ray/contract.ts";
import { jobAtPort } from "../ray/port-holder.ts";
import { PdjobError } from "../domain/errors.ts";
import { check, checkListening, failed, unknown } from "./check.ts";
import type { Check } from "./check.ts";
import { rayAddressOf } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";

const below = ["agent", "ray", "versions", "head node", "proxy port"] as const;
const fix = "Start the cluster (ray start --head), or name its GCS with --ray-address.";

/** The cluster: can it be reached, does our agent join it, and will the proxy find what it needs on the head node? */
export async function checkRay(flags: ConnectionFlags, port: number): Promise<readonly Check[]> {
  const reached = await check("ray port", () => checkListening(rayAddressOf(flags), fix));
  if (!reached.ok) return [reached, ...below.map((name) => unknown(name, reached.name))];
  const address = rayAddressOf(flags);
  const agent = connectAgent({ rayAddress: address });
  try {
    const joined = await agent.call("ping", {}).catch((error: unknown) => error);
    if (!isHello(joined)) return [reached, ...refused(joined)];
    return [
      reached,
      ...(await checkCluster(agent, address, joined)),
      ...(await checkHead(agent, port)),
    ];
  } finally {
    await agent.close();
  }
}

const isHello = (value: unknown): value is VerbResult<"ping"> =>
  typeof value === "object" && value !== null && "rayVersion" in value;

/** An agent that says why it cannot join has started; one that says nothing has not. */
function refused(error: unknown): readonly Check[] {
  const text = error instanceof Error ? error.message : String(error);
  const hasStarted = error instanceof PdjobError && error.code !== "AgentUnreachable";
  const rest = [unknown("head node", "ray"), unknown("proxy port", "ray")];
  if (!hasStarted) {
    const advice = "Set PDJOB_PYTHON to a Python that has the cluster's Ray.";
    const agent = failed("agent", `${text} ${advice}`);
    return [agent, unknown("ray", "agent"), unknown("versions", "agent"), ...rest];
  }
  const isMismatch = /another version/.test(text);
  const versions = isMismatch
    ? failed(
        "versions",
        `${findPython()} is not what the cluster runs: set PDJOB_PYTHON (and --python of the worker) to a Python with the cluster's own versions of Python and Ray`,
      )
    : unknown("versions", "ray");
  const agent = { name: "agent", ok: true, text: startText(findPython()) };
  return [agent, failed("ray", text), versions, ...rest];
}

const startText = (python: string): string => `starts with ${python}`;

const checkCluster = (
  agent: Agent,
  address: string,
  { rayVersion, pythonVersion }: VerbResult<"ping">,
): Promise<readonly Check[]> =>
  Promise.all([
    check("agent", () => startText(findPython())),
    check("ray", async () => {
      const { nodes } = await agent.call("nodes", {});
      const alive = nodes.filter((node) => node.alive);
      const gpus = (kind: "total" | "available") =>
        alive.reduce((sum, node) => sum + node[kind].GPU, 0);
      return `${rayVersion} at ${address}: ${alive.length} nodes, ${gpus("available")} of ${gpus("total")} GPUs free`;
    }),
    check(
      "versions",
      () => `Ray ${rayVersion} and Python ${pythonVersion}, here and on the cluster`,
    ),
  ]);

async function checkHead(agent: Agent, port: number): Promise<readonly Check[]> {
  const looked = await agent
    .call("checkHead", { port })
    .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
  if (looked instanceof Error)
    return [failed("head node", looked.message), unknown("proxy port", "head node")];
  const { ip, nodeProblem, portProblem } = looked;
  return [
    await check("head node", () => {
      if (nodeProblem === undefined) return `${ip} has Node.js for the built-in proxy`;
      throw new Error(`${ip}: ${nodeProblem}`);
    }),
    await check("proxy port", async () => {
      if (portProblem === undefined) return `${port} is free on ${ip}`;
      const holder = await jobAtPort(agent, port);
      if (holder) return `${port} on ${ip} is that of job ${holder}`;
      throw new Error(
        `${port} on ${ip} cannot be taken (${portProblem}): free it, or give jobs another scheduler.port`,
      );
    }),
  ];
}
