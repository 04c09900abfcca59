/** What of a request says how it is to be read. */
export interface Framing {
  readonly httpVersion: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
}

/** Why a request is not served whatever it asks for. */
export interface Unfit {
  readonly status: 400 | 415 | 431 | 501 | 505;
  readonly message: string;
}

const headersMax = 100;
const versions: ReadonlySet<string> = new Set(["1.0", "1.1"]);

/**
 * Node's parser, which is strict, refuses what can be read in two ways: a length told twice, or beside chunks, folded lines, and
 * control characters. This is what it lets through, and what somebody between a client and us may have read otherwise.
 */
export function unfitOf({ httpVersion, rawHeaders }: Framing): Unfit | undefined {
  if (!versions.has(httpVersion))
    return { status: 505, message: `HTTP/${httpVersion} is not served here: use HTTP/1.1.` };
  if (rawHeaders.length / 2 > headersMax)
    return { status: 431, message: `The request has more than ${headersMax} headers.` };
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase();
    const value = rawHeaders[at + 1]?.toLowerCase() ?? "";
    if (name === "host" && (hosts += 1) > 1)
      return { status: 400, message: "The request names two hosts." };
    if (name === "transfer-encoding" && value !== "chunked")
      return { status: 501, message: "The only transfer-encoding that is read here is chunked." };
    if (name === "content-encoding" && value !== "identity")
      return { status: 415, message: "Send the request body without a content-encoding." };
  }
  return undefined;
}
