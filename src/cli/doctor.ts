import type { Command } from "commander";
import { defaultProxyPort } from "../domain/spec.ts";
import { withConnection, withRay } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { checkHere } from "./doctor-here.ts";
import { checkRay } from "./doctor-ray.ts";
import { checkTemporal } from "./doctor-temporal.ts";
import { Exit } from "./exit.ts";
import { portNumber } from "./numbers.ts";
import { colour, columns, print, printJson } from "./output.ts";

interface DoctorFlags extends ConnectionFlags {
  readonly port: number;
  readonly json?: boolean;
}

export function addDoctor(program: Command): void {
  withRay(withConnection(program.command("doctor")))
    .description("check everything a job needs, each with what to do about it")
    .option(
      "--port <n>",
      "the proxy's port, to be free on the head node",
      portNumber("--port"),
      defaultProxyPort,
    )
    .option("--json", "print the checks as JSON: [{name, ok, text}]")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client doctor\n  pdjob-client doctor --ray-address 10.0.0.4:6379 --address temporal:7233",
    )
    .action(async (flags: DoctorFlags) => {
      // None waits for another: a server that is down must not hide what is wrong with the cluster.
      const groups = await Promise.all([
        checkHere(),
        checkTemporal(flags),
        checkRay(flags, flags.port),
      ]);
      const checks = groups.flat();
      if (flags.json) printJson(checks);
      else
        print(
          columns(
            checks.map(({ name, ok, text }) => [
              ok ? colour("green", "ok") : colour("red", "FAIL"),
              name,
              text,
            ]),
          ),
        );
      if (checks.some(({ ok }) => !ok)) throw new Exit(1);
    });
}
