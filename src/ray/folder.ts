import { execa } from "execa";
import { z } from "zod";
import type { FolderSurvey } from "../domain/upload.ts";
import { agentPath, findPython } from "./agent.ts";
import { folderSurvey } from "./contract.ts";

const surveyTimeoutMs = 60_000;
const surveyAnswer = z.union([folderSurvey, z.object({ error: z.string() })]);

/** What of a folder on this machine would be uploaded, or why that cannot be told. Needs no cluster. */
export async function surveyFolder(
  directory: string,
): Promise<FolderSurvey | { readonly error: string }> {
  const { stdout, failed, shortMessage } = await execa(
    findPython(),
    ["-m", "pdjob_agent.folder", directory],
    { env: { PYTHONPATH: agentPath }, timeout: surveyTimeoutMs, reject: false },
  );
  if (failed) return { error: shortMessage ?? "it failed" };
  const parsed = surveyAnswer.safeParse(JSON.parse(stdout || "null"));
  return parsed.success ? parsed.data : { error: "its survey is not understood" };
}
