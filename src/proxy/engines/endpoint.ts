import { legError } from "./failure.ts";

const defaultPort = 80;

export interface Endpoint {
  /** An IPv6 address has no brackets here. */
  readonly host: string;
  readonly port: number;
  /** Host and port, as in a URL. */
  readonly authority: string;
}

/** Where an engine's connections go to. Whatever path its URL has is no part of that. */
export function endpointOf(url: string): Endpoint | Error {
  const { protocol, hostname, host, port } = new URL(url);
  if (protocol !== "http:")
    return legError("refused", `engines are asked by http:// alone, not by ${protocol}//`);
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? defaultPort : Number(port),
    authority: host,
  };
}
