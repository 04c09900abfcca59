import type { IncomingHttpHeaders } from "node:http";

/** Headers that go through the proxy, to an engine or to a client. */
export type EndToEnd = Record<string, string | string[]>;

/** Belongs to one connection, or is set anew for each. */
const notForwarded: ReadonlySet<string> = new Set(
  "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host content-length expect accept-encoding x-request-id x-data-parallel-rank".split(
    " ",
  ),
);

/** Those that are for whoever is at the other end. */
export function endToEnd(headers: IncomingHttpHeaders): EndToEnd {
  const named = namedBy(headers.connection);
  const kept: EndToEnd = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !notForwarded.has(name) && !named?.includes(name))
      kept[name] = value;
  }
  return kept;
}

/** What Connection says of other headers: most often nothing. */
function namedBy(connection: string | undefined): readonly string[] | undefined {
  if (connection === undefined || connection === "keep-alive" || connection === "close")
    return undefined;
  return connection.toLowerCase().split(/\s*,\s*/);
}
