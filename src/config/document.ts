import { Lexer, parseDocument } from "yaml";
import type { YAMLError } from "yaml";
import { charactersMax, depthMax, tokensMax } from "./limits.ts";
import type { ConfigNode } from "./node.ts";
import type { Finding } from "./problem.ts";
import { resolveTree } from "./resolve.ts";

/** `root` is absent when the text is no YAML mapping; then the findings say why. */
export interface ReadDocument {
  readonly root?: ConfigNode;
  readonly findings: readonly Finding[];
}

/**
 * YAML text as a tree. Never throws and does a bounded amount of work: size, characters and tokens are checked before
 * the parser sees the text, values and depth while aliases are resolved. `text` has no byte order mark.
 */
export function readDocument(text: string): ReadDocument {
  const refusal = refuseUnreadable(text);
  if (refusal) return { findings: [refusal] };
  const parsed = parseBounded(text);
  if ("message" in parsed) return { findings: [parsed] };
  const { document } = parsed;
  const errors = [...document.errors, ...document.warnings.filter(isRefused)];
  // Past the parser's depth, one error for each level would follow.
  const exhausted = errors.find(({ code }) => code === "RESOURCE_EXHAUSTION");
  if (errors.length > 0)
    return { findings: (exhausted ? [exhausted] : untilLost(errors)).map(syntaxFinding) };
  const { root, findings } = resolveTree(document.contents);
  if (root === undefined) return { findings };
  const shape = refuseShape(root);
  return shape ? { findings: [shape] } : { root, findings };
}

function refuseUnreadable(text: string): Finding | undefined {
  if (text.length > charactersMax) {
    return at(
      0,
      `The file has ${text.length} characters and at most ${charactersMax} are read: is this the right file?`,
    );
  }
  // U+FFFD stands where bytes were no UTF-8.
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const strange = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]/.exec(text);
  if (strange) {
    const code = strange[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return at(
      strange.index,
      `The file holds the character U+${code}, which is not text: save it as YAML in UTF-8.`,
    );
  }
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > tokensMax) {
      return at(
        0,
        `The file has more than ${tokensMax} YAML tokens, far more than a job needs: is this the right file?`,
      );
    }
  }
  return undefined;
}

function parseBounded(text: string): { readonly document: ReturnType<typeof parse> } | Finding {
  try {
    return { document: parse(text) };
  } catch (error) {
    // The parser recurses: thousands of brackets exhaust the stack in places where it does not say so itself.
    if (error instanceof RangeError) return at(0, tooDeep);
    throw error;
  }
}

/** Duplicate keys are found while resolving, where comparing them costs less; YAML 1.2 whatever `%YAML` says. */
const parse = (text: string) =>
  parseDocument(text, {
    prettyErrors: false,
    uniqueKeys: false,
    schema: "core",
    merge: false,
    resolveKnownTags: false,
  });

function refuseShape({ content, start }: ConfigNode): Finding | undefined {
  if (content.kind === "mapping") return undefined;
  if (content.kind === "scalar" && content.value === null) {
    return at(
      0,
      "The file describes nothing: give at least num_gpus, prefill and decode, as in examples/quickstart.yaml.",
    );
  }
  const got = content.kind === "list" ? "a list" : "a single value";
  return at(
    start,
    `The file is ${got}, but a job is a mapping of keys: write lines such as "num_gpus: 16", as in examples/quickstart.yaml.`,
  );
}

const tooDeep = `The file nests lists or mappings more than ${depthMax} deep: is this the right file?`;

/** What follows at the same place is a consequence. */
const onePerPlace = (errors: readonly YAMLError[]): readonly YAMLError[] => [
  ...new Map(errors.toReversed().map((error) => [error.pos[0], error])).values(),
];

/** Where the parser no longer knows what belongs to what, it goes on to complain of every line that follows. */
function untilLost(errors: readonly YAMLError[]): readonly YAMLError[] {
  const places = onePerPlace(errors).toSorted((a, b) => a.pos[0] - b.pos[0]);
  const lost = places.findIndex(({ message }) => message.includes("in YAML stream"));
  return lost < 0 ? places : places.slice(0, Math.max(1, lost));
}

const isRefused = ({ code }: YAMLError): boolean => code === "TAG_RESOLVE_FAILED";

const advice: Readonly<Partial<Record<YAMLError["code"], string>>> = {
  BLOCK_AS_IMPLICIT_KEY:
    "Not valid YAML (a mapping where a value was expected): line its keys up with the others, or put quotes around a value that contains a colon and a space.",
  MULTILINE_IMPLICIT_KEY:
    "Not valid YAML (text that is neither a key nor a value): put a colon and a space after each key.",
  MULTIPLE_DOCS:
    "The file holds several documents: describe one job a file and remove the other ---.",
  RESOURCE_EXHAUSTION: tooDeep,
  TAB_AS_INDENT: "Not valid YAML (a tab as indentation): use spaces.",
  TAG_RESOLVE_FAILED:
    "The tag is not known here: write the value without a tag that starts with !.",
};

/** The parser's own sentence without what it quotes of the file (a secret may stand there), and what to do. */
function syntaxFinding({ code, message, pos }: YAMLError): Finding {
  const own = advice[code];
  if (own !== undefined) return at(pos[0], own);
  const sentence = message.replace(" : ", " colon ").split(": ")[0] ?? message;
  return at(
    pos[0],
    `Not valid YAML (${sentence}): check the colons, quotes and brackets on this line and the one before.`,
  );
}

const at = (offset: number, message: string): Finding => ({
  offset,
  path: [],
  message,
  severity: "error",
});
