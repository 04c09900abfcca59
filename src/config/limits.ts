/** Every limit of a job's description. Past one of them the file is refused with the number in the message. */

/** Characters of a file; a larger one is not parsed at all. */
export const charactersMax = 1024 * 1024;
/** YAML tokens of a file: bounds the parser's time, which grows with tokens rather than with characters. */
export const tokensMax = 50_000;
/** Values after aliases are expanded: stops alias bombs before they use memory. */
export const valuesMax = 20_000;
/** Characters of one text: Linux passes no longer argument or variable to a program (MAX_ARG_STRLEN). */
export const textMax = 131_071;
/** Mappings and lists inside each other. */
export const depthMax = 40;
/** Problems reported of one file; one more line says that there are others. */
export const issuesMax = 100;

export const gpusMax = 4096;
export const cpusMax = 1024;
export const portMax = 65_535;
/** Of a run of ports, `{PORT:name:span}`. */
export const portSpanMax = 1024;

/** Of a prompt's beginning; past some thousand tokens prompts rarely have a beginning in common. */
export const prefixBytesMax = 1024 * 1024;
/** An hour: of what the proxy does while it waits for the orchestrator to notice. */
export const selectionMaxS = 60 * 60;
/** MiB of a request's body, which the proxy holds in memory whole. */
export const bodyMibMax = 1024;
/** MiB of all of them together. */
export const memoryMibMax = 64 * 1024;
/** Of the proxy, at once: each is a connection of its own. */
export const requestsMax = 65_536;
/** Clients and what is between give up sooner. */
export const waitMaxS = 10 * 60;

/** References of one scope, each to a file or variable with any number of keys. */
export const keyReferencesMax = 64;

const daySeconds = 24 * 60 * 60;
export const healthIntervalMaxS = 60;
export const healthTimeoutMaxS = 60;
export const healthFailuresMax = 100;
export const healthStallMaxS = daySeconds;
export const timeoutMaxS = 7 * daySeconds;
export const restartWindowMaxS = 7 * daySeconds;
export const drainMaxS = daySeconds;
export const stopGraceMaxS = 60 * 60;
export const leaseMaxS = 365 * daySeconds;
/**
 * A lease is at least so much longer than `stop_grace`: a worker that died is missed after 6 s, and looks that failed are
 * tried again after a minute at most.
 */
export const leaseSpareS = 60;
