import type { Agent } from "./agent.ts";

/** The job whose proxy listens on that port of the head node; undefined when it is none of ours. */
export async function jobAtPort(agent: Agent, port: number): Promise<string | undefined> {
  const { jobs } = await agent.call("jobs", {});
  for (const { job } of jobs) {
    const { proxies } = await agent.call("list", { job });
    if (proxies.some((proxy) => proxy.port === port)) return job;
  }
  return undefined;
}
