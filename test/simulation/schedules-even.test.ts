import { testSchedules } from "./schedules.ts";

testSchedules(0, 2);
