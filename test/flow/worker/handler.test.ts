import { setImmediate as turn } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { Call, type HandlerContext } from "../../../src/flow/worker/handler.ts";
import { ClosedError, HandlerTimeoutError } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";

/** Calls a handler, and tells how it ended, as often as it did. */
function call(handler: (input: string, context: HandlerContext) => unknown, timeout: number | null = null) {
  const endings: { error: Error | null; result: unknown }[] = [];
  const made = new Call((error, result) => endings.push({ error, result }));
  made.run(handler, "in", timeout);
  return { call: made, endings, ended: () => waitFor(() => endings[0], { what: "the end" }) };
}

/** Rejections that nobody handled, from now to the end of the test. */
function unhandled(): unknown[] {
  const reasons: unknown[] = [];
  const note = (reason: unknown): number => reasons.push(reason);
  const known = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", note);
  onTestFinished(() => {
    process.off("unhandledRejection", note);
    for (const listener of known) process.on("unhandledRejection", listener);
  });
  return reasons;
}

test("Call.run – a handler that returns no promise has ended when run returns", () => {
  for (const result of [undefined, null, 0, "", "text", {}, { then: 1 }, [1]]) {
    const { endings } = call(() => result);
    expect(endings).toEqual([{ error: null, result }]);
  }
});

test("Call.run – the handler is given the input and the context, once", async () => {
  const given: unknown[][] = [];
  const { call: made, ended } = call(async (...args) => given.push(args));
  await ended();
  expect(given).toEqual([["in", made]]);
});

test("Call.run – what a promise or any thenable resolves with", async () => {
  for (const result of [
    Promise.resolve(7),
    { then: (ok: (value: number) => void) => setImmediate(ok, 7) },
    { then: (ok: (value: number) => void) => ok(7) },
    Object.assign(() => {}, { then: (ok: (value: number) => void) => ok(7) }),
    { then: (ok: (value: unknown) => void) => ok(Promise.resolve(7)) },
  ]) {
    const { endings, ended } = call(() => result);
    expect(endings).toEqual([]);
    expect(await ended()).toEqual({ error: null, result: 7 });
  }
});

test("Call.run – an error is told as it is: thrown, rejected, from a thenable or a getter", async () => {
  const error = new TypeError("no");
  const fail = (): never => {
    throw error;
  };
  for (const handler of [
    fail,
    async () => fail(),
    () => Promise.reject(error),
    () => ({ then: (_: unknown, no: (error: Error) => void) => no(error) }),
    () => ({ then: fail }),
    () => Object.defineProperty({}, "then", { get: fail }),
    () => {
      let reads = 0;
      return Object.defineProperty({}, "then", { get: () => (reads++ === 0 ? () => {} : fail()) });
    },
  ]) {
    const { endings, ended } = call(handler);
    expect(await ended()).toEqual({ error, result: undefined });
    expect(endings).toHaveLength(1);
  }
});

test.each([undefined, null, 0, "", "text", Symbol("s"), { code: 7 }, Object.create(null), 7n])(
  "Call.run – what is thrown and no error becomes one: %s",
  async (thrown) => {
    const sync = call(() => {
      throw thrown;
    });
    const { error } = sync.endings[0]!;
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "NonError", cause: thrown });
    const later = await call(() => Promise.reject(thrown)).ended();
    expect(later.error).toMatchObject({ name: "NonError", cause: thrown });
  },
);

test("Call.run – an end is told once, whatever a thenable does", async () => {
  const { endings, ended } = call(() => ({
    then(ok: (value: number) => void, no: (error: Error) => void) {
      ok(1);
      no(new Error("2"));
      ok(3);
      throw new Error("4");
    },
  }));
  await ended();
  await turn();
  expect(endings).toEqual([{ error: null, result: 1 }]);
});

test("Call.run – what the end throws is not taken for the handler's", () => {
  const made = new Call(() => {
    throw new Error("of the ending");
  });
  expect(() => made.run(() => 1, "in", null)).toThrow("of the ending");
});

test("Call.run – past its timeout it has failed and is aborted; what comes later is of no account", async () => {
  const reasons = unhandled();
  let fail: (error: Error) => void = () => {};
  let context: HandlerContext | null = null;
  const begun = performance.now();
  const { endings, ended } = call((_, given) => {
    context = given;
    return new Promise((_, reject) => {
      fail = reject;
    });
  }, 20);
  const { error } = await ended();
  expect(performance.now() - begun).toBeGreaterThanOrEqual(19);
  expect(error).toBeInstanceOf(HandlerTimeoutError);
  expect(error).toMatchObject({ timeout: 20 });
  expect(context!.signal.aborted).toBe(true);
  expect(context!.signal.reason).toBe(error);
  fail(new Error("too late"));
  await turn();
  await turn();
  expect(endings).toHaveLength(1);
  expect(reasons).toEqual([]);
});

test("Call.run – the signal is aborted before the end by timeout is told", async () => {
  const order: string[] = [];
  const made = new Call(() => order.push("end"));
  made.run(
    (_, { signal }) => {
      signal.addEventListener("abort", () => order.push("abort"));
      return new Promise(() => {});
    },
    "in",
    1,
  );
  await waitFor(() => order.includes("end"));
  expect(order).toEqual(["abort", "end"]);
});

test("Call.run – no timer is left when it has ended, and none is made for what returns at once", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  call(() => 1, 1000);
  expect(vi.getTimerCount()).toBe(0);
  const { endings } = call(async () => 1, 1000);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(endings).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test("Call.abort – the handler's signal says why, the call goes on until the handler ends", async () => {
  const reason = new ClosedError("the worker stops");
  let signal: AbortSignal | null = null;
  let end: (value: number) => void = () => {};
  const {
    call: made,
    endings,
    ended,
  } = call((_, context) => {
    signal = context.signal;
    return new Promise((resolve) => {
      end = resolve;
    });
  });
  expect(signal!.aborted).toBe(false);
  made.abort(reason);
  made.abort(new Error("a second one"));
  expect(signal!.aborted).toBe(true);
  expect(signal!.reason).toBe(reason);
  await turn();
  expect(endings).toEqual([]);
  end(5);
  expect(await ended()).toEqual({ error: null, result: 5 });
});

test("Call.signal – asked for late, it is aborted already; it is always the same", () => {
  const reason = new ClosedError("the worker stops");
  const { call: made } = call(() => new Promise(() => {}));
  made.abort(reason);
  const { signal } = made;
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toBe(reason);
  expect(made.signal).toBe(signal);
});
