import { expect, test } from "vitest";
import type { Action } from "../../src/domain/action.ts";
import { carry, noteLog, openState, statusOf } from "../../src/workflows/state.ts";
import { makeSpec } from "../support/spec.ts";

const started = (generation: number): Action => ({
  kind: "startDecode",
  replica: { role: "decode", index: 1 },
  generation,
  reason: "",
});

test("where an engine or proxy writes is remembered when it has started, of the newest 64, over continue-as-new", () => {
  const spec = makeSpec({ name: "demo" });
  const state = openState(spec, undefined, 0);
  const { workingDir } = spec;
  noteLog(state, started(1), { result: undefined, workingDir });
  const replica = { role: "prefill", index: 0 } as const;
  noteLog(
    state,
    { kind: "readKvIp", replica, generation: 1, reason: "" },
    { result: { kvIp: "10.0.0.7" }, workingDir },
  );
  expect(statusOf(state).logs).toEqual([]);
  for (let generation = 1; generation <= 70; generation++)
    noteLog(state, started(generation), { result: { host: "10.0.0.7" }, workingDir });
  const proxy = { kind: "runProxy", generation: 2, deadlineMs: 0, reason: "" } as const;
  const command = { builtin: true, argv: [], members: [] };
  noteLog(state, { ...proxy, command }, { result: { host: "10.0.0.4" }, workingDir });
  const { logs } = statusOf(openState(spec, carry(state), 0));
  expect(logs).toHaveLength(64);
  expect(logs?.slice(-2)).toEqual([
    {
      name: "decode-1",
      generation: 70,
      host: "10.0.0.7",
      path: "/tmp/pdjob-demo/.pdjob/logs/demo-decode-1-g70.log",
    },
    {
      name: "proxy",
      generation: 2,
      host: "10.0.0.4",
      path: "/tmp/pdjob-demo/.pdjob/logs/demo-proxy-g2.log",
    },
  ]);
});
