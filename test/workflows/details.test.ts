import { expect, test } from "vitest";
import type { JobStatus, ReplicaStatus } from "../../src/domain/status.ts";
import { renderDetails } from "../../src/workflows/details.ts";

/** The server refuses a longer block. */
const serverLimit = 20_000;

const ready: JobStatus = {
  job: "demo",
  phase: "READY",
  reason: "1 prefill and 1 decode replicas serve",
  desired: { prefill: 1, decode: 1 },
  desiredGeneration: 1,
  ready: { prefill: 1, decode: 1 },
  replicas: [
    {
      name: "prefill-0",
      role: "prefill",
      index: 0,
      generation: 1,
      phase: "READY",
      url: "http://a:1",
    },
    {
      name: "decode-0",
      role: "decode",
      index: 0,
      generation: 3,
      phase: "READY",
      url: "http://b:2",
    },
  ],
  proxy: { phase: "READY", builtin: true, url: "http://h:8021" },
  inFlight: [],
  events: [{ atMs: 0, text: "job demo was started" }],
};

test("the details block says how the job, each replica and the proxy stand", () => {
  expect(renderDetails(ready)).toBe(`**demo: READY** – 1 prefill and 1 decode replicas serve

Proxy: READY at http://h:8021 (built-in)

| replica | generation | state | address | note |
|---|---|---|---|---|
| prefill-0 | g1 | READY | http://a:1 |  |
| decode-0 | g3 | READY | http://b:2 |  |

In flight: nothing

- 1970-01-01T00:00:00.000Z job demo was started`);
});

test("the log of what is down is a block of code that nothing in it ends, and no note breaks the table", () => {
  const failure = { code: "EngineExited", message: "decode-0 is gone.\nlast\n```\nwords" } as const;
  const [prefill, decode] = ready.replicas as [ReplicaStatus, ReplicaStatus];
  const down = { ...decode, phase: "DOWN", note: "a | b\nc", failure } as const;
  const text = renderDetails({ ...ready, phase: "DEGRADED", replicas: [prefill, down] });
  expect(text).toContain("\n```\nlast\n'''\nwords\n```\n");
  expect(text).toContain("| decode-0 | g3 | DOWN | http://b:2 | a   b c |");
});

test("the block of the largest job with the longest words is one that the server takes", () => {
  const long = "w".repeat(5_000);
  const failure = { code: "EngineExited", message: `${long}\n${long}` } as const;
  const [, decode] = ready.replicas as [ReplicaStatus, ReplicaStatus];
  const replicas = Array.from({ length: 512 }, (_, index) => ({
    ...decode,
    name: `decode-${index}`,
    phase: "DOWN" as const,
    note: long,
    failure,
  }));
  const events = Array.from({ length: 40 }, (_, atMs) => ({ atMs, text: long }));
  const inFlight = replicas.map(({ name }) => `reservePlacementGroup ${name} g1`);
  const text = renderDetails({ ...ready, reason: long, replicas, events, failure, inFlight });
  expect(Buffer.byteLength(text)).toBeLessThan(serverLimit);
  expect(text).toContain("| … 472 more | | | | |");
  expect(text).toContain("decode-19 g1, … 492 more");
});
