import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { versionPattern } from "../domain/connectors/version.ts";
import type { ParseOptions } from "../config/parse.ts";

export interface VersionFlag {
  readonly vllmVersion?: string;
}

/** For verbs that look at a config without a cluster, where the engines cannot be asked. */
export const withVersion = (command: Command): Command =>
  command.option(
    "--vllm-version <version>",
    "the engines' vLLM, such as 0.32, over engine.version in the file",
    legalVersion,
  );

export const versionOption = ({ vllmVersion }: VersionFlag): Pick<ParseOptions, "engineVersion"> =>
  vllmVersion === undefined ? {} : { engineVersion: vllmVersion };

function legalVersion(text: string): string {
  if (versionPattern.test(text)) return text;
  throw new InvalidArgumentError("expected a version of vLLM, such as 0.32.");
}
