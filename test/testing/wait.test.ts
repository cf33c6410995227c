import { expect, expectTypeOf, test } from "vitest";
import { waitFor } from "../../src/testing/index.ts";

test("waitFor – first truthy value", async () => {
  const answers = [null, undefined, 0, "", false, 7, 8];
  const value = await waitFor(() => answers.shift(), { interval: 0 });
  expect(value).toBe(7);
  expect(answers).toEqual([8]);
});

test("waitFor – type without the falsy values", async () => {
  expectTypeOf(await waitFor((): "a" | null | false => "a")).toEqualTypeOf<"a">();
  expectTypeOf(await waitFor(async (): Promise<number> => 1)).toEqualTypeOf<number>();
});

test("waitFor – a condition that throws is not yet true", async () => {
  let calls = 0;
  const value = await waitFor(async () => {
    if (++calls < 3) throw new Error("not yet");
    return calls;
  });
  expect(value).toBe(3);
});

test("waitFor – in vain, says for what and why", async () => {
  const cause = new Error("no such key");
  const failing = waitFor(() => Promise.reject(cause), { timeout: 20, what: "the key to appear" });
  await expect(failing).rejects.toThrow(
    "waitFor: waited 20 ms in vain for the key to appear; it threw last: Error: no such key",
  );
  await expect(failing).rejects.toHaveProperty("cause", cause);
  await expect(waitFor(() => 1 > 2, { timeout: 20 })).rejects.toThrow("in vain for () => 1 > 2");
  const long = (): boolean =>
    "a condition whose text is so long that nobody wants to read all of it in an error".length > 1e6;
  await expect(waitFor(long, { timeout: 20 })).rejects.toThrow(/for .{100}\.\.\.$/);
});

test("waitFor – an earlier error is forgotten once the condition answers", async () => {
  let calls = 0;
  const failing = waitFor(
    () => {
      if (++calls === 1) throw new Error("once");
      return false;
    },
    { timeout: 50, what: "x" },
  );
  await expect(failing).rejects.toThrow(/for x$/);
});

test("waitFor – a condition that never settles", async () => {
  await expect(waitFor(() => new Promise(() => {}), { timeout: 20, what: "ever" })).rejects.toThrow(
    "for ever",
  );
});

test("waitFor – asks once even without time", async () => {
  expect(await waitFor(() => "here", { timeout: 0 })).toBe("here");
});

test("waitFor – bad option", async () => {
  await expect(waitFor(() => true, { timeout: -1 })).rejects.toThrow(
    "waitFor: timeout must be a number of milliseconds, at least 0, got -1",
  );
  await expect(waitFor(() => true, { interval: Number.NaN })).rejects.toThrow(RangeError);
});
