// The Temporal SDK types durations with `ms` 3.0.0-canary, whose package has no types condition:
// under NodeNext the type silently becomes `any` and a misspelt duration compiles. This shim closes that hole.
declare module "ms" {
  type Unit =
    | "ms"
    | "millisecond"
    | "milliseconds"
    | "s"
    | "second"
    | "seconds"
    | "m"
    | "minute"
    | "minutes";
  type LongUnit = "h" | "hour" | "hours" | "d" | "day" | "days";
  export type StringValue =
    | `${number}`
    | `${number}${Unit | LongUnit}`
    | `${number} ${Unit | LongUnit}`;
  export default function ms(value: StringValue): number;
}
