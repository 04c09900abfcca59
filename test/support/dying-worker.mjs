// A worker that SIGKILLs itself once right before and once right after each kind of activity that PDJOB_DIE_AT names,
// and of each call of the agent that it names as `VERB NAME`.
// What it has died of is kept in a file, because nothing else survives. Everything else is the real worker's.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { Context } from "@temporalio/activity";
import { NativeConnection, Worker } from "@temporalio/worker";
import { createActivities } from "../../dist/activities/index.js";
import { conductActivity } from "../../dist/activities/conduct.js";
import { connectAgent } from "../../dist/ray/agent.js";

const { values } = parseArgs({
  options: {
    address: { type: "string" },
    "ray-address": { type: "string" },
    "task-queue": { type: "string" },
  },
});
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

const root = new URL("../../", import.meta.url).pathname;
const agent = connectAgent({ rayAddress: values["ray-address"] });
const mortalAgent = {
  async call(verb, args, options) {
    dieOnce("before", `${verb} ${args.name}`);
    const answer = await agent.call(verb, args, options);
    dieOnce("after", `${verb} ${args.name}`);
    return answer;
  },
};
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address: values.address }),
  taskQueue: values["task-queue"],
  workflowBundle: { codePath: `${root}dist/workflow-bundle.js` },
  activities: createActivities({
    agent: mortalAgent,
    readProxyProgram: () => readFile(`${root}dist/pdjob-proxy.mjs`, "utf8"),
  }),
  interceptors: { activity: [conductActivity, die] },
  maxHeartbeatThrottleInterval: "1 second",
  stickyQueueScheduleToStartTimeout: "3 seconds",
});
process.once("SIGTERM", () => worker.shutdown());
await worker.run();
await agent.close();
