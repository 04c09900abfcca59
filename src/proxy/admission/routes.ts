import type { Scope } from "./auth.ts";

/** What a path leads to. */
export type Route = "complete" | "models" | "health" | "metrics";

/** The whole of what can be asked from outside: engines have paths that end them, or run code in them. */
const served: Readonly<Record<string, Route>> = {
  "POST /v1/completions": "complete",
  "POST /v1/chat/completions": "complete",
  "GET /v1/models": "models",
  "GET /health": "health",
  "GET /metrics": "metrics",
};

/** Load balancers ask for health without a key. Metrics name the engines and tell how busy each is. */
export const scopes: Readonly<Record<Route, Scope>> = {
  complete: "inference",
  models: "inference",
  health: "open",
  metrics: "admin",
};

export const servedPaths = Object.keys(served).join(", ");

/** Of a path that is told back to whoever asked for it. */
const toldMax = 200;

export type Found =
  | { readonly kind: "route"; readonly route: Route; readonly path: string }
  /** `asked` is what was asked for, in short. */
  | { readonly kind: "unknown"; readonly asked: string };

/**
 * The route of a request's method and target. A path is taken as it is written: one with other capitals, doubled slashes, dot
 * segments or escapes is another path, and unknown. So what goes to an engine is one of the paths above, letter by letter.
 */
export function routeOf(method: string, target: string): Found {
  const known = servedAt(`${method} ${target}`);
  if (known) return { kind: "route", route: known, path: target };
  // A proxy is also asked for whole URLs; whose they name is of no interest here.
  const [path = ""] = target.replace(/^https?:\/\/[^/?#]*/i, "").split("?", 1);
  const asked = `${method === "HEAD" ? "GET" : method} ${path}`;
  const route = servedAt(asked);
  return route
    ? { kind: "route", route, path }
    : { kind: "unknown", asked: `${method} ${path}`.slice(0, toldMax) };
}

const servedAt = (asked: string): Route | undefined =>
  Object.hasOwn(served, asked) ? served[asked] : undefined;
