import { expect, test } from "vitest";
import { ClientError } from "../../src/client/client-error.ts";
import { watch } from "../../src/cli/watch.ts";
import type { Standing } from "../../src/cli/watch.ts";
import type { Execution, PdjobClient } from "../../src/client.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { clientThat, deploying, running } from "../support/client-that.ts";
import { written } from "../support/written.ts";

const ready: JobStatus = { ...deploying, phase: "READY" };
const stopped: JobStatus = { ...deploying, phase: "STOPPED" };
const noWorker = new ClientError("NoWorker", "No worker answers. Start one.");
const noServer = new ClientError("Unreachable", "The server does not answer any more.");

/** Answers one after the other; the last stays. */
const inTurn = (...answers: readonly (JobStatus | Error)[]): PdjobClient["status"] => {
  const left = [...answers];
  return async () => {
    const answer = left.length > 1 ? left.shift() : left[0];
    if (answer === undefined || answer instanceof Error) throw answer;
    return answer;
  };
};

/** What it showed, and what it said on standard error. */
async function watched(answers: Partial<PdjobClient>) {
  const shown: Standing["phase"][] = [];
  const said = await written("stderr", () =>
    watch({
      client: clientThat(answers),
      job: "demo",
      show: ({ phase }) => void shown.push(phase),
      everyMs: 1,
    }),
  );
  return { shown, said };
}

test("a watch says once that the worker is away, goes on, and says when it is back", async () => {
  const status = inTurn(ready, noWorker, noWorker, noWorker, ready, noWorker, stopped);
  const { shown, said } = await watched({ status });
  expect(shown).toEqual(["READY", "READY", "STOPPED"]);
  const away = expect.stringMatching(
    /^No answer for \d+ s; watching goes on\. No worker answers\. Start one\.$/,
  );
  const back = expect.stringMatching(/^Answers again, after \d+ s\.$/);
  expect(said).toEqual([away, back, away, back]);
});

test("a watch goes on without a server, which it asks for the end of the job as well", async () => {
  const looks = [running, noServer, running];
  const look = async (): Promise<Execution> => {
    const answer = looks.shift() ?? running;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const { shown, said } = await watched({ status: inTurn(noServer, stopped), look });
  expect(shown).toEqual(["STOPPED"]);
  expect(said).toHaveLength(2);
});

test("a watch tells how long nobody has answered", async () => {
  const late: PdjobClient["status"] = async () => {
    await new Promise((resolve) => void setTimeout(resolve, 1_100));
    throw noWorker;
  };
  const answers = [late, inTurn(stopped)];
  const { said } = await watched({ status: (job) => (answers.shift() ?? late)(job) });
  expect(said).toEqual([
    expect.stringMatching(/^No answer for [1-9]\d* s; watching goes on\. /),
    expect.stringMatching(/^Answers again, after [1-9]\d* s\.$/),
  ]);
});

test.each([
  ["TERMINATED", "Job demo was terminated: no workflow looks after it any more"],
  ["COMPLETED", "Job demo has ended (COMPLETED); a worker can tell its last status."],
])("a watch ends with a job that is %s, although no worker answers", async (state, text) => {
  const look = async () => ({ state, failures: [] });
  const { said } = await watched({ status: inTurn(noWorker), look });
  expect(said.at(-1)).toContain(text);
});

test("a watch of a job that is not there fails", async () => {
  const nobody = new ClientError("NoSuchJob", "There is no job demo.");
  await expect(watched({ status: inTurn(nobody) })).rejects.toBe(nobody);
});
