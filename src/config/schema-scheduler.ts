import { z } from "zod";
import {
  defaultDegraded,
  defaultSelection,
  policies,
  withoutPrefill,
} from "../domain/selection.ts";
import { defaultProxyPort } from "../domain/spec.ts";
import { mapping, mustBe, mustBeOneOf, mustRead, seconds, text, whole } from "./expect.ts";
import * as limits from "./limits.ts";
import { exposure } from "./schema-exposure.ts";

/* The part of a job's file that is about the proxy; see `schema.ts`. */

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Keys of a request; a role's own win over those of both. */
const request = {
  method: z
    .enum(methods, mustBeOneOf("GET, POST, PUT, PATCH or DELETE"))
    .describe("Method of the request; default POST.")
    .optional(),
  url: text("a path such as /remove_worker?url={URL}, or a URL that starts with http://")
    .regex(
      /^(?:\/(?!\/)|http:\/\/[^\s/]+)\S*$/,
      mustRead("a path that starts with one /, or a URL that starts with http://, without blanks"),
    )
    .describe(
      "Path on scheduler.port of the head node, or a whole URL. Placeholders: {URL} {HOST} {PORT} {PORT:name} {ROLE} {NODE_NAME} {INDEX} {GENERATION} of the replica.",
    )
    .optional(),
  headers: z
    .record(
      z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, mustRead("the name of an HTTP header")),
      text("text"),
      mustBe("a mapping of header names to text"),
    )
    .describe("Headers; env:NAME and file:/PATH are references to secrets, as in envs.")
    .optional(),
  body: z
    .record(z.string(), z.unknown(), mapping)
    .describe("Sent as JSON, placeholders filled; {#PORT} alone becomes a number.")
    .optional(),
  accept: z
    .array(whole(300, 599), mustBe("a list of HTTP statuses"))
    .describe("Statuses besides 2xx that mean that it is done.")
    .optional(),
};

const change = (what: string) =>
  z
    .strictObject(
      {
        ...request,
        prefill: z
          .strictObject(request, mapping)
          .describe("What is different for prefill replicas.")
          .optional(),
        decode: z
          .strictObject(request, mapping)
          .describe("What is different for decode replicas.")
          .optional(),
      },
      mapping,
    )
    .describe(what)
    .optional();

const http = z
  .strictObject(
    {
      add: change(
        "The request that tells the proxy of a new replica; left out, additions take a restart of the proxy.",
      ),
      remove: change(
        "The request that takes a replica from the proxy; left out, removals take a restart of the proxy.",
      ),
      list: z
        .strictObject({ url: request.url.unwrap(), headers: request.headers }, mapping)
        .describe(
          "GET request whose answer names the proxy's replicas; a change counts once it shows there.",
        )
        .optional(),
    },
    mapping,
  )
  .describe("Requests of the proxy's admin API, for membership: http.")
  .optional();

const file = z
  .strictObject(
    {
      path: text("the path of the file that the proxy watches")
        .regex(
          /^(?!.*(?:^|\/)\.\.(?:\/|$)).*[^/]$/,
          mustRead("the path of a file without .., relative to working_dir or absolute"),
        )
        .describe(
          "File that the proxy watches, relative to working_dir or absolute; replaced as a whole.",
        ),
      content: z
        .union(
          [z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())],
          mustBe("text, a mapping or a list"),
        )
        .describe(
          "What is written: text, or a value that is written as JSON. $PREFILL_URLS, $DECODE_HOST and so on are filled in; left out, the replicas of each role as JSON.",
        )
        .optional(),
    },
    mapping,
  )
  .describe("A file that the proxy watches, for membership: file.")
  .optional();

const selection = z
  .strictObject(
    {
      prefill: z
        .enum(policies.prefill, mustBeOneOf("least-loaded, power-of-two or prefix-affinity"))
        .default(defaultSelection.prefill)
        .describe(
          "Which prefill replica is asked: least-loaded (fewest tokens in flight), power-of-two (the less loaded of two by chance), prefix-affinity (the one that had the prompt's beginning before, unless it is much more loaded than the others).",
        ),
      decode: z
        .enum(policies.decode, mustBeOneOf("least-loaded or power-of-two"))
        .default(defaultSelection.decode)
        .describe("Which decode replica is asked: least-loaded or power-of-two."),
      prefix_bytes: whole(1, limits.prefixBytesMax)
        .default(defaultSelection.prefixBytes)
        .describe(
          "Bytes of a prompt's beginning that prefix-affinity goes by: prompts that share them go together.",
        ),
      ramp: seconds(0, limits.selectionMaxS)
        .default(defaultSelection.rampS)
        .describe("Seconds within which a replica that joins gets its full share of the load."),
      silence: seconds(0, limits.selectionMaxS)
        .default(defaultSelection.silenceS)
        .describe(
          "Seconds without a byte after which a replica that was asked is passed over while there are others; 0 = never.",
        ),
      ejection: seconds(1, limits.selectionMaxS)
        .default(defaultSelection.ejectionS)
        .describe(
          "Seconds for which it is, at first; twice as many each time that it stays silent.",
        ),
    },
    mapping,
  )
  .describe("Which replica the built-in proxy asks.")
  .optional();

const degraded = z
  .strictObject(
    {
      prefill: z
        .enum(withoutPrefill, mustBeOneOf("fail or decode-local"))
        .default(defaultDegraded.prefill)
        .describe(
          "Without a prefill replica: fail (503), or decode-local (decode replicas compute prompts themselves, slower).",
        ),
      decode: z
        .literal(
          "fail",
          mustBeOneOf(
            "fail, the only way there is: without a decode replica nobody generates an answer",
          ),
        )
        .default("fail")
        .describe("Without a decode replica: fail (503)."),
    },
    mapping,
  )
  .describe("What the built-in proxy does when no replica of a role is left.")
  .optional();

const memberships = ["builtin", "restart", "http", "file", "none"] as const;

export const scheduler = z
  .strictObject(
    {
      port: whole(1, limits.portMax)
        .default(defaultProxyPort)
        .describe("Port on which clients reach the job, on the head node."),
      command: text("the command that starts a proxy, as text")
        .describe(
          "Command of an external proxy, run without a shell; left out, the built-in proxy runs. Placeholders: {PORT}, $PREFILL_HOST_1, $DECODE_URLS, …",
        )
        .optional(),
      membership: z
        .enum(memberships, mustBeOneOf("builtin, restart, http, file or none"))
        .describe(
          "How the proxy learns of changed replicas: builtin (told live), restart (started anew; default with a command), http (told by requests; default with http), file (reads a file; default with file), none.",
        )
        .optional(),
      http,
      file,
      selection,
      degraded,
      ...exposure,
    },
    mapping,
  )
  .nullish()
  .describe("The proxy in front of the engines.");
