"""The only part of pdjob that speaks to Ray. See docs/agent-protocol.md."""
