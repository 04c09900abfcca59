import type { Client, WorkflowExecutionInfo } from "@temporalio/client";
import { jobOfWorkflow, workflowType } from "../domain/names.ts";

/** Ended runs that are looked through for different jobs: one that is started every minute has many. */
const endedRunsMax = 2_000;

export interface JobSummary {
  readonly job: string;
  readonly phase: string;
  readonly startedAt: string;
  readonly closedAt?: string;
}

export interface JobList {
  readonly jobs: readonly JobSummary[];
  /** There are more than were asked for. */
  readonly isCut: boolean;
}

/**
 * One row per job, of its newest run: those that run first, then those that have ended, newest first in each. Runs that
 * were continued as new are chapters of a job, not jobs.
 */
export async function listJobs({ workflow }: Client, limit: number): Promise<JobList> {
  const jobs = new Map<string, JobSummary>();
  const ofType = `WorkflowType = "${workflowType}"`;
  for (const [which, runsMax] of [
    ['ExecutionStatus = "Running"', limit + 1],
    ['ExecutionStatus != "Running" AND ExecutionStatus != "ContinuedAsNew"', endedRunsMax],
  ] as const) {
    let runs = 0;
    for await (const one of workflow.list({ query: `${ofType} AND ${which}` })) {
      const summary = summaryOf(one);
      const known = jobs.get(summary.job);
      if (!known && jobs.size >= limit) return { jobs: [...jobs.values()], isCut: true };
      if (!known) jobs.set(summary.job, summary);
      runs += 1;
      if (runs >= runsMax) break;
    }
  }
  return { jobs: [...jobs.values()], isCut: false };
}

function summaryOf({ workflowId, status, memo, startTime, closeTime }: WorkflowExecutionInfo) {
  const phase = status.name === "RUNNING" ? String(memo?.["phase"] ?? "RUNNING") : status.name;
  return {
    job: jobOfWorkflow(workflowId),
    phase,
    startedAt: startTime.toISOString(),
    ...(closeTime ? { closedAt: closeTime.toISOString() } : {}),
  };
}
