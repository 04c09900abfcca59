import { vi } from "vitest";

/** The lines that `work` writes to standard output or standard error, which do not reach it. */
export async function written(
  stream: "stdout" | "stderr",
  work: () => Promise<unknown>,
): Promise<readonly string[]> {
  let text = "";
  const spy = vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await work();
  } finally {
    spy.mockRestore();
  }
  return text.split("\n").slice(0, -1);
}
