import { createServer } from "node:net";

const triesMax = 200;
const portMax = 65_535;

/** Can we listen there now? */
export function isFree(port: number, host = "0.0.0.0"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The wanted port if it is free, else the next free one above it. `taken` are ports promised to somebody else already. */
export async function freePort(
  wanted: number,
  taken: ReadonlySet<number> = new Set(),
): Promise<number> {
  const last = Math.min(wanted + triesMax - 1, portMax);
  for (let port = wanted; port <= last; port++) {
    if (!taken.has(port) && (await isFree(port)) && (await isFree(port, "127.0.0.1"))) return port;
  }
  throw new Error(
    `No free port among ${wanted}-${last}. Stop what holds them, or choose another range.`,
  );
}
