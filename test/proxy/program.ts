import { execa } from "execa";
import type { ResultPromise } from "execa";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { freePort } from "../../src/dev/ports.ts";
import { eventually } from "../support/eventually.ts";
import { ownEnd } from "../support/own-end.ts";
import type { FakeEngine } from "./rig.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
export const proxyProgram = `${root}dist/pdjob-proxy.mjs`;

export const buildProgram = async (): Promise<void> =>
  void (await execa(process.execPath, [`${root}scripts/build.mjs`]));

interface ProgramOptions {
  /** Its log, that is. */
  readonly onFullDisk?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the program as the head node does; `end` kills what still runs. */
export function createPrograms() {
  const dirs: string[] = [];
  const programs: ResultPromise[] = [];

  /** A folder for the admin socket, and a port. */
  async function place() {
    const dir = mkdtempSync(join(tmpdir(), "pdjob-proxy-"));
    dirs.push(dir);
    const port = await freePort(26_000 + Math.floor(Math.random() * 1_000));
    return { socketPath: join(dir, "admin.sock"), port, url: `http://127.0.0.1:${port}` };
  }

  const watch = (program: ResultPromise): void => void programs.push(program);

  async function end(): Promise<void> {
    for (const program of programs.splice(0)) {
      program.kill("SIGKILL");
      await program.catch(() => undefined);
    }
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  }

  async function start(
    engines: readonly FakeEngine[],
    drainTimeoutS: number,
    { onFullDisk = false, env = {} }: ProgramOptions = {},
  ) {
    const { socketPath, port, url } = await place();
    const words = ["--port", String(port), "--drain-timeout", String(drainTimeoutS)];
    const script = `exec "$@" ${onFullDisk ? "2>/dev/full" : ""}`;
    const program = execa(
      "bash",
      ["-c", script, "bash", process.execPath, proxyProgram, ...words],
      { ...ownEnd, env: { ...env, PDJOB_ADMIN_SOCKET: socketPath } },
    );
    watch(program);
    const dispatcher = new Agent({ connect: { socketPath } });
    const members = engines.map(({ member }) => member);
    await eventually("the proxy takes its members", async () => {
      const answer = await request("http://localhost/membership", {
        method: "PUT",
        body: JSON.stringify({ generation: 1, members }),
        dispatcher,
      });
      return answer.statusCode === 200;
    });
    await dispatcher.destroy();
    return { program, url };
  }

  return { place, watch, start, end };
}
