import { cancellationSignal } from "@temporalio/activity";
import type { ActionInput } from "../domain/action.ts";
import type { JobSpec } from "../domain/spec.ts";
import { uploadText } from "../domain/upload.ts";
import type { Agent } from "../ray/agent.ts";
import type { ActivityDependencies } from "./index.ts";

/**
 * What an actor is created with, so that it runs in the job's files. Ray forgets files that nobody uses: they are handed
 * over again then, the very same ones or none.
 */
export async function uploadedFiles(
  agent: Agent,
  { upload: directory }: JobSpec,
  { package: wanted }: { readonly package?: string },
): Promise<{ readonly package?: string }> {
  if (directory === undefined || wanted === undefined) return {};
  const signal = cancellationSignal();
  await agent.call("upload", { directory, package: wanted }, { signal });
  return { package: wanted };
}

export const fileActivities = ({ agent }: ActivityDependencies) => ({
  /** Hands the folder, as it is on the worker's machine now, to Ray; at no cost when Ray has the same files already. */
  async uploadFiles({
    action: { directory },
  }: ActionInput<"uploadFiles">): Promise<{ readonly package: string; readonly text: string }> {
    const answer = await agent.call("upload", { directory }, { signal: cancellationSignal() });
    const { files = 0, bytes = 0, leftOut = [], secrets = [], packedBytes } = answer;
    const what = uploadText(directory, { files, bytes, leftOut, secrets }, packedBytes);
    const text = `${answer.uploaded === false ? "Ray already has" : "uploaded"} ${what}`;
    return { package: answer.package, text };
  },
});
