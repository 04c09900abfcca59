// The worker, but it SIGKILLs itself once right before and once right after each kind of activity that PDJOB_DIE_AT names,
// each call of the agent that it names as `VERB NAME`, and at each such moment that it names (`after VERB NAME`).
// What it has died of is kept in a file: nothing else survives. It lingers at a moment, so that other activities get to
// theirs, and dies in all of them at once.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { Context } from "@temporalio/activity";
import { runWorkerCommand } from "../../dist/worker-command.js";

const mortal = process.env.PDJOB_DIE_AT.split(",");
const record = process.env.PDJOB_DIE_RECORD;
const lingerMs = 300;
let death;

async function mayDie(moment, what = Context.current().info.activityType) {
  const point = `${moment} ${what}`;
  const died = existsSync(record) ? readFileSync(record, "utf8").split("\n") : [];
  if (!(mortal.includes(what) || mortal.includes(point)) || died.includes(point)) return;
  appendFileSync(record, `${point}\n`);
  clearTimeout(death);
  death = setTimeout(() => process.kill(process.pid, "SIGKILL"), lingerMs);
  await new Promise(() => undefined);
}

const mortalActivities = () => ({
  inbound: {
    async execute(input, next) {
      await mayDie("before");
      const result = await next(input);
      await mayDie("after");
      return result;
    },
  },
});

const mortalAgent = (agent) => ({
  ...agent,
  async call(verb, args, options) {
    await mayDie("before", `${verb} ${args.name}`);
    const answer = await agent.call(verb, args, options);
    await mayDie("after", `${verb} ${args.name}`);
    return answer;
  },
});

await runWorkerCommand({
  interceptors: [mortalActivities],
  wrapAgent: mortalAgent,
  // Without a cache of workflows no task waits for the worker that died.
  override: {
    workflowBundle: { codePath: process.env.PDJOB_DIE_BUNDLE },
    maxCachedWorkflows: 0,
  },
});
