export { PDJobWorkflow } from "./pdjob.ts";
