import { describe, expect, test } from "vitest";
import {
  httpUrl,
  incarnationName,
  jobOfWorkflow,
  logPath,
  parseIncarnation,
  proxyName,
  rankName,
  workflowIdOf,
  workingDirOfLog,
} from "../../src/domain/names.ts";

const decode1 = { role: "decode", index: 1 } as const;

describe("names in Ray", () => {
  test("tell job, role, index, generation and rank, and are read from the end", () => {
    const job = "a-prefill-0-g1";
    expect(incarnationName(job, decode1, 3)).toBe("a-prefill-0-g1-decode-1-g3");
    expect(rankName(job, decode1, 3, 2)).toBe("a-prefill-0-g1-decode-1-g3-r2");
    expect(parseIncarnation(rankName(job, decode1, 3, 2))).toEqual({
      job,
      ...decode1,
      generation: 3,
      rank: 2,
    });
  });

  test("rank 0 bears the replica's own name", () => {
    expect(rankName("demo", decode1, 3, 0)).toBe(incarnationName("demo", decode1, 3));
  });

  test.each([proxyName("demo", 2), "demo-encode-0-g1", "demo-decode-0", "demo-decode-0-g1-r0"])(
    "%s is no replica's",
    (name) => expect(parseIncarnation(name)).toBeUndefined(),
  );
});

test("a workflow's id tells its job, also one that is called like an id", () => {
  for (const job of ["demo", "pdjob-demo"]) expect(jobOfWorkflow(workflowIdOf(job))).toBe(job);
});

test("an IPv6 address stands in brackets in a URL", () => {
  expect([httpUrl("10.0.0.7", 80), httpUrl("fd00::7", 80)]).toEqual([
    "http://10.0.0.7:80",
    "http://[fd00::7]:80",
  ]);
});

test("a log's path tells the working directory, wherever that is", () => {
  const nested = logPath("/tmp/x", "y").replace("/y.log", "");
  for (const dir of ["/tmp/pdjob-demo", nested])
    expect(workingDirOfLog(logPath(dir, "demo-decode-1-g2"))).toBe(dir);
  expect(workingDirOfLog("/var/log/engine.log")).toBeUndefined();
});
