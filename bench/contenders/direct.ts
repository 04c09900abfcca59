import type { Contender } from "../contender.ts";

/** No proxy: what the engines and the load generator can do. */
export const direct: Contender = {
  name: "direct",
  hops: 0,
  warmsUp: false,
  start: ({ decodePorts: [port = 0] }) =>
    Promise.resolve({ port, version: "", stop: () => Promise.resolve() }),
};
