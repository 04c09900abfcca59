// The worker, but it SIGKILLs itself once right before and once right after each kind of activity that PDJOB_DIE_AT names,
// and each call of the agent that it names as `VERB NAME`. What it has died of is kept in a file: nothing else survives.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { Context } from "@temporalio/activity";
import { runWorkerCommand } from "../../dist/worker-command.js";

const mortal = process.env.PDJOB_DIE_AT.split(",");
const record = process.env.PDJOB_DIE_RECORD;

function dieOnce(moment, what = Context.current().info.activityType) {
  const point = `${moment} ${what}`;
  const died = existsSync(record) ? readFileSync(record, "utf8").split("\n") : [];
  if (!mortal.includes(what) || died.includes(point)) return;
  appendFileSync(record, `${point}\n`);
  process.kill(process.pid, "SIGKILL");
}

const die = () => ({
  inbound: {
    async execute(input, next) {
      dieOnce("before");
      const result = await next(input);
      dieOnce("after");
      return result;
    },
  },
});

const mortalAgent = (agent) => ({
  ...agent,
  async call(verb, args, options) {
    dieOnce("before", `${verb} ${args.name}`);
    const answer = await agent.call(verb, args, options);
    dieOnce("after", `${verb} ${args.name}`);
    return answer;
  },
});

await runWorkerCommand({ interceptors: [die], wrapAgent: mortalAgent });
