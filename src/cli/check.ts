import { createConnection } from "node:net";

const connectTimeoutMs = 3_000;

/** One row of `doctor`. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found, or what is wrong and what to do. One line. */
  readonly text: string;
}

/** `look` answers with what was found, or fails with what is wrong. */
export async function check(name: string, look: () => Promise<string> | string): Promise<Check> {
  try {
    return { name, ok: true, text: await look() };
  } catch (error) {
    return failed(name, error instanceof Error ? error.message : String(error));
  }
}

export const failed = (name: string, text: string): Check => ({
  name,
  ok: false,
  text: text.replaceAll(/\s*\n\s*/g, " "),
});

/** Could not be looked at, because of what another row says. */
export const unknown = (name: string, because: string): Check =>
  failed(name, `not checked: see ${because} above`);

/** Fails unless something accepts connections there; what it is, is another question. */
export async function checkListening(address: string, fix: string): Promise<string> {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  if (host === undefined || port === undefined)
    throw new Error(`${address}: expected HOST:PORT. ${fix}`);
  const problem = await new Promise<string | undefined>((resolve) => {
    const socket = createConnection({ host, port: Number(port), timeout: connectTimeoutMs });
    const end = (outcome?: string): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.once("connect", () => end());
    socket.once("timeout", () => end(`no answer within ${connectTimeoutMs / 1_000} s`));
    socket.once("error", ({ message }) => end(message));
  });
  if (problem) throw new Error(`nothing can be reached at ${address} (${problem}). ${fix}`);
  return `${address} accepts connections`;
}
