import fc from "fast-check";
import { test } from "vitest";
import { PROPERTIES } from "./properties.ts";

// A short run, other values each time; `npm run fuzz -- --minutes 5` is a long one.
test.each(Object.entries(PROPERTIES))("%s", (_, property) => {
  fc.assert(property, { numRuns: 400, interruptAfterTimeLimit: 10_000 });
});
