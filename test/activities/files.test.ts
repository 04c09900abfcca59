import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { createActivities } from "../../src/activities/index.ts";
import { PdjobError } from "../../src/domain/errors.ts";
import type { Agent } from "../../src/ray/agent.ts";
import { makeSpec } from "../support/spec.ts";

const spec = makeSpec({ upload: "/deploy" });
const survey = { files: 2, bytes: 20, leftOut: [".git"], secrets: [] };
const packaged = { package: "gcs://_ray_pkg_1.zip" };

/** An agent that has the files, unless `refusal`; `asked` are the verbs with the package that they were given. */
function activitiesOn(refusal?: PdjobError, uploaded = true) {
  const asked: string[] = [];
  const agent = {
    async call(verb: string, args: Readonly<Record<string, unknown>>) {
      asked.push([verb, args["package"] ?? "none"].join(" "));
      if (verb === "upload" && refusal) throw refusal;
      if (verb === "upload")
        return { ...packaged, ...survey, uploaded, ...(uploaded ? { packedBytes: 9 } : {}) };
      if (verb === "ensureProxy") return { name: "p", generation: 1, state: "healthy" };
      return { name: "a", state: "idle", endpoint: { host: "h", ports: { http: 1 } } };
    },
    close: async () => undefined,
  } as unknown as Agent;
  const activities = createActivities({ agent, readProxyProgram: async () => "" });
  return { asked, activities };
}

const run = <I, O>(activity: (input: I) => Promise<O>, input: I): Promise<O> =>
  new MockActivityEnvironment().run(activity as never, input) as Promise<O>;

const start = {
  kind: "startPrefill" as const,
  replica: { role: "prefill" as const, index: 0 },
  generation: 1,
  reason: "",
};
const proxy = (builtin: boolean) => ({
  kind: "runProxy" as const,
  generation: 1,
  command: { builtin, argv: ["p"], members: [] },
  deadlineMs: 0,
  reason: "",
  ...packaged,
});

test("the folder becomes a package, and it is said what was handed around", async () => {
  const { activities, asked } = activitiesOn();
  const action = { kind: "uploadFiles" as const, directory: "/deploy", reason: "" };
  expect(await run(activities.uploadFiles, { spec, action })).toEqual({
    ...packaged,
    text: "uploaded 2 files, 20 bytes, 9 bytes packed, of /deploy, without .git.",
  });
  expect(asked).toEqual(["upload none"]);
  const { activities: again } = activitiesOn(undefined, false);
  expect(await run(again.uploadFiles, { spec, action })).toEqual({
    ...packaged,
    text: "Ray already has 2 files, 20 bytes, of /deploy, without .git.",
  });
});

test("Ray is made sure to have the files before an actor needs them", async () => {
  const { activities, asked } = activitiesOn();
  await run(activities.startPrefill, { spec, action: { ...start, ...packaged } });
  await run(activities.runProxy, { spec, action: proxy(false) });
  expect(asked.filter((line) => !line.startsWith("startEngine"))).toEqual([
    "upload gcs://_ray_pkg_1.zip",
    "ensureReplica gcs://_ray_pkg_1.zip",
    "upload gcs://_ray_pkg_1.zip",
    "ensureProxy gcs://_ray_pkg_1.zip",
  ]);
});

test("files that nobody has any more start nothing", async () => {
  const { activities, asked } = activitiesOn(new PdjobError("SpecInvalid", "they have changed"));
  const input = { spec, action: { ...start, ...packaged } };
  await expect(run(activities.startPrefill, input)).rejects.toThrow("they have changed");
  expect(asked).toEqual(["upload gcs://_ray_pkg_1.zip"]);
});

test("our own proxy, and a job without a folder, get no files", async () => {
  const { activities, asked } = activitiesOn();
  await run(activities.runProxy, { spec, action: proxy(true) });
  await run(activities.startPrefill, { spec: makeSpec(), action: start });
  expect(asked.filter((line) => !line.startsWith("startEngine"))).toEqual([
    "ensureProxy none",
    "ensureReplica none",
  ]);
});
