import type { Command } from "commander";
import { legalName } from "../config/schema.ts";
import { jobNamePattern } from "../domain/names.ts";
import { Exit } from "./exit.ts";

export interface NameFlag {
  readonly name?: string;
}

/** Adds the flag that names a job apart from its file. An illegal name is the flag's fault, not the file's. */
export const withName = (command: Command): Command =>
  command.option("--name <job>", "the job's name, over the one in the file", (text: string) => {
    if (jobNamePattern.test(text)) return text;
    throw new Exit(2, `--name ${text}: expected ${legalName}.`);
  });
