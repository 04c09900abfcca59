/** Why a request is refused; the fields of vLLM's error object. */
export interface RequestProblem {
  readonly status: number;
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
}

export const isProblem = (value: object): value is RequestProblem => "status" in value;

/** What vLLM says about a body that does not fit its data model: not OpenAI's error type, but its own `Bad Request`. */
export function unreadable(
  what: string | { readonly type: string; readonly at: string; readonly why: string },
): RequestProblem {
  if (typeof what === "string")
    return {
      status: 400,
      message: `1 validation error:\n  ${what}`,
      type: "Bad Request",
      param: null,
    };
  const { type, at, why } = what;
  const message = `1 validation error:\n  {'type': '${type}', 'loc': 'body${at}', 'msg': '${why}'}`;
  return { status: 400, message, type: "Bad Request", param: `body${at}` };
}

/** What it says about a value that it understood and cannot do. */
export function refused(message: string, param?: string, value?: number | string): RequestProblem {
  const detail = [
    ...(param === undefined ? [] : [`parameter=${param}`]),
    ...(value === undefined ? [] : [`value=${value}`]),
  ].join(", ");
  return {
    status: 400,
    message: detail === "" ? message : `${message} (${detail})`,
    type: "BadRequestError",
    param: param ?? null,
  };
}
