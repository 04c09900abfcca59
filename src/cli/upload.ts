import { existsSync, readdirSync } from "node:fs";
import { uploadText } from "../domain/upload.ts";
import type { JobSpec } from "../domain/spec.ts";
import { surveyFolder } from "../ray/folder.ts";

export interface UploadPlan {
  readonly directory: string;
  /** What would be uploaded and how much; from here one can only tell when the folder is here too. */
  readonly text: string;
}

/** What `start` would hand around, for a person to see before it happens. */
export async function uploadPlanOf({
  upload: directory,
}: JobSpec): Promise<UploadPlan | undefined> {
  if (directory === undefined) return undefined;
  if (!existsSync(directory)) {
    const text = `${directory}, which is not on this machine, as it is where the worker runs.`;
    return { directory, text };
  }
  const survey = await surveyFolder(directory);
  const text =
    "error" in survey
      ? `${directory}, which would fail here: ${survey.error}`
      : uploadText(directory, survey);
  return { directory, text };
}

/** Said to whoever knows `vllm pdjob`, which hands around a working directory that exists where it is typed. */
export function uploadNote({ upload, workingDir }: JobSpec): string | undefined {
  if (upload !== undefined) return undefined;
  try {
    const isOurs = readdirSync(workingDir).every((entry) => entry === ".pdjob");
    if (isOurs) return undefined;
  } catch {
    return undefined;
  }
  return `working_dir ${workingDir} exists here. What is in it is not sent to the nodes: write \`upload: ${workingDir}\` for that.`;
}
