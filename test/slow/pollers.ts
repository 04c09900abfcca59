import { readFileSync, readdirSync } from "node:fs";
import { setPriority } from "node:os";
import { treeOf } from "../support/processes.ts";

/*
 * A NIXL agent polls without pause in a thread of its own, which vLLM has no switch for. vLLM pins its worker to one core,
 * and every engine of this machine to the same one: there the threads of idle engines take what a booting one needs.
 * So they are made to wait for all others once their engine is ready. It changes when they run, and nothing that they do.
 */
const calmPriority = 10;
/** In ticks of 10 ms. By then any other thread has waited for something. */
const busyTicks = 5;

/** Lowers the priority of the threads below these processes that never waited for anything yet. */
export function calmPollers(pids: readonly number[]): void {
  for (const { pid, command } of pids.flatMap(treeOf))
    if (command.startsWith("VLLM::Worker")) calmThreadsOf(pid);
}

function calmThreadsOf(pid: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`))
      // Linux takes the id of a thread there.
      if (neverWaited(`/proc/${pid}/task/${thread}`)) setPriority(Number(thread), calmPriority);
  } catch {
    return; // It ended meanwhile.
  }
}

function neverWaited(thread: string): boolean {
  const waits = /^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`${thread}/status`, "utf8"));
  // What follows the name, which may hold spaces: user and system time are the 12th and 13th.
  const fields = readFileSync(`${thread}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return waits?.[1] === "0" && Number(fields[11]) + Number(fields[12]) >= busyTicks;
}
