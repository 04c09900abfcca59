import { readFileSync, statSync } from "node:fs";
import { execa } from "execa";
import { Agent, request } from "undici";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { proxyKeysEnv } from "../../src/activities/proxy-keys.ts";
import { makeSpec } from "../support/spec.ts";
import { eventually } from "../support/eventually.ts";
import { ownEnd } from "../support/own-end.ts";
import { corpus } from "./hostile-corpus.ts";
import { buildProgram, createPrograms, proxyProgram } from "./program.ts";
import { sendRaw } from "./raw.ts";
import { createScene, echoAnswer, event, messageOf, post, prefillAnswer, sse } from "./rig.ts";
import type { FakeEngine } from "./rig.ts";

const { engine, stop } = createScene();
const { place, watch, start: startProgram, end } = createPrograms();
beforeAll(buildProgram, 120_000);
afterEach(async () => {
  await end();
  stop();
});

test("SIGTERM lets the streams in flight end, refuses new connections, and then exits 0", async () => {
  let finish = (): void => undefined;
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", (_, response) => {
    sse(response, event("a"));
    finish = () => void response.end("data: [DONE]\n\n");
  });
  const { program, url } = await startProgram([p, d], 20);
  const streaming = post(url, { prompt: "x", stream: true });
  await expect.poll(() => d.seen.length).toBe(1);
  program.kill("SIGTERM");
  await eventually("it refuses", () =>
    request(`${url}/health`).then(
      () => false,
      ({ code }: { readonly code?: string }) => code === "ECONNREFUSED",
    ),
  );
  expect(program.exitCode).toBeNull();
  finish();
  expect((await streaming).text).toBe(`${event("a")}data: [DONE]\n\n`);
  expect((await program).exitCode).toBe(0);
});

test("a stream that outlasts the drain ends with an error, and the program within its time", async () => {
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", (_, response) => sse(response, event("a")));
  const { program, url } = await startProgram([p, d], 1);
  const streaming = post(url, { prompt: "x", stream: true });
  await expect.poll(() => d.seen.length).toBe(1);
  program.kill("SIGTERM");
  expect((await program).exitCode).toBe(0);
  expect((await streaming).text).toContain('{"error":{"message":"The proxy is stopping."');
});

test("a proxy whose log is on a full disk serves, and ends as any other", async () => {
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", (_, response) => {
    sse(response, event("a"));
    response.end("data: [DONE]\n\n");
  });
  const { program, url } = await startProgram([p, d], 1, { onFullDisk: true });
  expect((await post(url, { prompt: "x", stream: true })).text).toContain("data: [DONE]");
  program.kill("SIGTERM");
  expect((await program).exitCode).toBe(0);
});

/** Stands for the actor: listens, and hands the socket to what it becomes. */
const listenThenBecome = `
import os, socket, sys
one = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.set_inheritable(one.fileno(), True)
os.environ["PDJOB_LISTEN_FD"] = str(one.fileno())
print("listening", flush=True)
os.execvp(sys.argv[2], sys.argv[2:])
`;

async function startOnSocket(engines: readonly FakeEngine[]) {
  const { socketPath, port, url } = await place();
  const command = [process.execPath, proxyProgram, "--port", String(port)];
  const program = execa("python3", ["-c", listenThenBecome, String(port), ...command], {
    ...ownEnd,
    env: { PDJOB_ADMIN_SOCKET: socketPath },
  });
  watch(program);
  await new Promise((resolve) => program.stdout?.once("data", resolve));
  const dispatcher = new Agent({ connect: { socketPath } });
  const put = async (path: string, body: string) => {
    const url = `http://localhost${path}`;
    const answer = await request(url, { method: "PUT", body, dispatcher });
    return { status: answer.statusCode, body: (await answer.body.json()) as object };
  };
  const members = engines.map(({ member }) => member);
  const tell = () =>
    eventually("it takes its members", () =>
      put("/membership", JSON.stringify({ generation: 1, members })),
    );
  return { program, url, tell, put };
}

test("whoever comes before there are members waits for them", async () => {
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", echoAnswer);
  const { url, tell } = await startOnSocket([p, d]);
  const early = post(url, { prompt: "x" });
  expect(await tell()).toMatchObject({ status: 200, body: { generation: 1, ready: true } });
  expect((await early).status).toBe(200);
});

test("once retired it serves what is open, lets each connection go, and takes no new one", async () => {
  let finish = (): void => undefined;
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", (asked, response) => {
    if (!asked.body["stream"]) return echoAnswer(asked, response);
    sse(response, event("a"));
    finish = () => void response.end("data: [DONE]\n\n");
  });
  const { program, url, tell, put } = await startOnSocket([p, d]);
  await tell();
  const streaming = post(url, { prompt: "x", stream: true });
  await eventually("the stream runs", () => d.seen.length === 1);
  const kept = new Agent({ connections: 1 });
  const ask = () =>
    request(`${url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "y" }),
      dispatcher: kept,
    });
  const first = await ask();
  await first.body.dump();
  expect(first.headers["connection"]).toBe("keep-alive");
  expect(await put("/retired", "")).toMatchObject({ status: 200, body: { leaving: 2 } });
  // On the connection that was open between two requests.
  const last = await ask();
  await last.body.dump();
  expect([last.statusCode, last.headers["connection"]]).toEqual([200, "close"]);
  await expect(ask()).rejects.toThrow("ECONNREFUSED");
  expect(await put("/retired", "")).toMatchObject({ body: { leaving: 1 } });
  finish();
  expect((await streaming).text).toBe(`${event("a")}data: [DONE]\n\n`);
  program.kill("SIGTERM");
  expect((await program).exitCode).toBe(0);
  await kept.destroy();
});

test("a membership that is too large is refused with the limit, and changes nothing", async () => {
  const { tell, put } = await startOnSocket([]);
  await tell();
  const members = [{ name: "x".repeat(2 * 1024 * 1024), role: "decode", url: "http://h:1" }];
  const refused = await put("/membership", JSON.stringify({ generation: 2, members }));
  expect(refused).toEqual({ status: 413, body: { error: "more than 1048576 bytes" } });
  expect(await put("/retired", "")).toMatchObject({ body: { generation: 1 } });
});

test("once told that the job stops it refuses whoever comes, at once", async () => {
  const { url, tell, put } = await startOnSocket([]);
  await tell();
  const told = { generation: 2, members: [], closing: true };
  expect(await put("/membership", JSON.stringify(told))).toMatchObject({ status: 200 });
  const { status, text } = await post(url, { prompt: "x" });
  expect([status, messageOf({ text })]).toEqual([503, "The job is stopping."]);
});

test("hostile bytes end no process: it serves after all of them, and its log says nothing of them", async () => {
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", echoAnswer);
  const { program, url } = await startProgram([p, d], 1);
  const answers = await Promise.all(corpus.map(({ bytes }) => sendRaw(url, bytes)));
  expect(answers).toEqual(corpus.map((one) => one.answers));
  expect((await post(url, { prompt: "x" })).status).toBe(200);
  expect(new Set(d.seen.map(({ path }) => path))).toEqual(new Set(["/v1/completions"]));
  program.kill("SIGTERM");
  const { exitCode, stderr } = await program;
  expect([exitCode, String(stderr).match(/unexpected|Error/g)]).toEqual([0, null]);
});

test("with keys in its environment it serves nobody without one; clients' are not there, and engines' are for its user alone", async () => {
  vi.stubEnv("PDJOB_TEST_KEY", "client-secret");
  vi.stubEnv("PDJOB_TEST_ENGINE_KEY", "engine-secret");
  const spec = makeSpec({ decode: { envs: { VLLM_API_KEY: "env:PDJOB_TEST_ENGINE_KEY" } } });
  const auth = { inference: ["env:PDJOB_TEST_KEY"], admin: [] };
  const env = await proxyKeysEnv({ ...spec, scheduler: { ...spec.scheduler, auth } });
  vi.unstubAllEnvs(); // What runs from here on is not to inherit it.
  const p = await engine("p0", "prefill", prefillAnswer());
  const d = await engine("d0", "decode", echoAnswer);
  const { program, url } = await startProgram([p, d], 1, { env });
  const ask = (headers: Record<string, string>) => post(url, { prompt: "x" }, headers);
  expect((await ask({})).status).toBe(401);
  expect((await ask({ authorization: "Bearer client-secret" })).status).toBe(200);
  const keysAt = ({ seen }: FakeEngine) => seen.map(({ headers }) => headers["authorization"]);
  expect([keysAt(p), keysAt(d)]).toEqual([[undefined], ["Bearer engine-secret"]]);
  const read = (name: string) => readFileSync(`/proc/${program.pid}/${name}`, "latin1");
  expect(read("environ")).toContain("PDJOB_PROXY_KEYS");
  expect(read("environ")).not.toContain("client-secret");
  const { mode, uid } = statSync(`/proc/${program.pid}/environ`);
  expect([mode & 0o777, uid]).toEqual([0o400, process.getuid?.()]);
  expect(read("cmdline")).not.toMatch(/client-secret|engine-secret/);
  program.kill("SIGTERM");
  expect(String((await program).stderr)).not.toMatch(/client-secret|engine-secret/);
});

test("keys that it cannot read let it not start", async () => {
  const { socketPath } = await place();
  const env = { PDJOB_ADMIN_SOCKET: socketPath, PDJOB_PROXY_KEYS: "client-secret" };
  const { exitCode, stderr } = await execa(process.execPath, [proxyProgram], {
    env,
    reject: false,
  });
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/PDJOB_PROXY_KEYS holds no keys as the orchestrator gives them$/);
});
