/** How a test runs a program whose own end it looks at: execa would kill it 5 s after a SIGTERM, which a busy machine needs. */
export const ownEnd = { reject: false, forceKillAfterDelay: false } as const;
