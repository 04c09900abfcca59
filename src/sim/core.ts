import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Phase } from "./running.ts";

const pollMs = 50;
/** A look at /proc for each token would cost more than the token. */
const lookMs = 20;

/** The process that would do the work: as long as it is stopped (SIGSTOP), none is done. */
export interface Core {
  onExit(tell: () => void): void;
  kill(): void;
  isFrozen(): boolean;
}

/** Like vLLM's EngineCore it lives in a session of its own and outlives a SIGKILL of its parent. */
export function startCore(): Core {
  const core = spawn("sleep", ["infinity"], {
    argv0: "VLLM::EngineCore",
    detached: true,
    stdio: "ignore",
  });
  core.unref();
  let seen = { atMs: 0, frozen: false };
  return {
    onExit: (tell) => void core.once("exit", tell),
    kill: () => void core.kill("SIGKILL"),
    isFrozen() {
      const nowMs = performance.now();
      if (nowMs > seen.atMs + lookMs) seen = { atMs: nowMs, frozen: isStopped(core.pid) };
      return seen.frozen;
    },
  };
}

/** Waits while the core does nothing; for ever, if it goes on so and nobody ends the engine. */
export async function untilAwake(core: Core | undefined, phase: () => Phase): Promise<void> {
  while (core?.isFrozen() && ["serving", "draining"].includes(phase())) await sleep(pollMs);
}

function isStopped(pid: number | undefined): boolean {
  try {
    // The state is the first field after the name, which may hold spaces and brackets.
    return /^.*\) [Tt] /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false; // It has ended.
  }
}
