import {
  abortable,
  afterTime,
  backoffMs,
  formatDuration,
  LONGEST_MS,
  parseDuration,
  sleep,
} from "./time.ts";
import { assert, assertEquals, assertRejects } from "../tests/support/assert.ts";

Deno.test("parseDuration() reads every form in the README", () => {
  const forms: Record<string, number> = {
    "500ms": 500,
    "30s": 30_000,
    "1m30s": 90_000,
    "2h": 7_200_000,
    "1d": 86_400_000,
    "1d12h": 129_600_000,
    "0": 0,
    "7": 7000,
    "0.5": 500,
    "1.5s": 1500,
    "0s": 0,
    "1h0m1s1ms": 3_601_001,
  };
  for (const [text, ms] of Object.entries(forms)) assertEquals(parseDuration(text), ms, text);
});

Deno.test("parseDuration() refuses what is not a duration", () => {
  const others = [
    "",
    " ",
    "s",
    "1w",
    "-1",
    "+1",
    "1 s",
    "1e3",
    "0x10",
    "1,5",
    "NaN",
    "Infinity",
    "5S",
  ];
  for (const text of others) assertEquals(parseDuration(text), undefined, text);
});

Deno.test("the longest duration is a round number, and no longer than the longest timer", () => {
  assertEquals(formatDuration(LONGEST_MS), "24d");
  assertEquals(parseDuration("24d"), LONGEST_MS);
  assert(LONGEST_MS < 2 ** 31);
});

Deno.test("parseDuration() refuses more than a timer can wait for", () => {
  assertEquals(parseDuration(`${LONGEST_MS}ms`), LONGEST_MS);
  assertEquals(parseDuration(`${LONGEST_MS + 1}ms`), undefined);
  assertEquals(parseDuration("9".repeat(400)), undefined);
});

Deno.test("formatDuration() writes what parseDuration() reads back", () => {
  for (
    const ms of [
      0,
      1,
      999,
      1000,
      1500,
      60_000,
      90_000,
      3_600_000,
      3_661_500,
      86_400_000,
      LONGEST_MS,
    ]
  ) {
    assertEquals(parseDuration(formatDuration(ms)), ms);
  }
});

Deno.test("backoffMs() doubles the first pause up to the longest", () => {
  const attempts = [1, 2, 3, 4, 5, 6, 7, 2000];
  const pausesMs = attempts.map((attempt) => backoffMs(attempt, 100, 2000));
  assertEquals(pausesMs, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
});

/** A signal that knows how many listeners for its abort it has. */
function countListeners() {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners: unknown[] = [];
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ) => {
    listeners.push(listener);
    add(type, listener, options);
  };
  signal.removeEventListener = (type: string, listener: EventListenerOrEventListenerObject) => {
    listeners = listeners.filter((other) => other !== listener);
    remove(type, listener);
  };
  return {
    signal,
    abort: (reason: Error) => controller.abort(reason),
    count: () => listeners.length,
  };
}

/** Lets everything run that only waits for settled promises. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

// Deno's test runner fails a test that leaves a timer.

Deno.test("sleep() resolves after its time, and leaves no listener", async () => {
  const { signal, count } = countListeners();
  const order: string[] = [];
  const earlier = new Promise<void>((resolve) =>
    setTimeout(() => {
      order.push("earlier");
      resolve();
    }, 1)
  );
  const sleeping = sleep(2, signal).then(() => order.push("sleep"));
  assertEquals(count(), 1);
  await Promise.all([sleeping, earlier]);
  assertEquals([order, count()], [["earlier", "sleep"], 0]);
});

Deno.test("sleep() resolves when the signal is aborted, and leaves no timer or listener", async () => {
  const { signal, abort, count } = countListeners();
  const sleeping = sleep(LONGEST_MS, signal);
  assertEquals(count(), 1);
  abort(new Error("enough"));
  await sleeping;
  assertEquals(count(), 0);
});

Deno.test("sleep() with an aborted signal resolves at once", async () => {
  await sleep(LONGEST_MS, AbortSignal.abort());
});

Deno.test("abortable() passes a value on, and leaves no listener", async () => {
  const { signal, count } = countListeners();
  const { promise, resolve } = Promise.withResolvers<string>();
  const waiting = abortable(promise, signal);
  assertEquals(count(), 1);
  resolve("value");
  assertEquals(await waiting, "value");
  await nextTurn();
  assertEquals(count(), 0);
});

Deno.test("abortable() passes an error on, and leaves no listener", async () => {
  const { signal, count } = countListeners();
  const error = new TypeError("broken");
  const thrown = await assertRejects(() => abortable(Promise.reject(error), signal), TypeError);
  assert(thrown === error);
  await nextTurn();
  assertEquals(count(), 0);
});

Deno.test("abortable() rejects with the signal's reason while the promise is pending", async () => {
  const { signal, abort, count } = countListeners();
  const { promise, resolve } = Promise.withResolvers<string>();
  const waiting = abortable(promise, signal);
  const reason = new RangeError("enough");
  abort(reason);
  assert(await assertRejects(() => waiting, RangeError) === reason);
  // The work behind the promise goes on; its end removes the listener and changes nothing else.
  resolve("too late");
  await nextTurn();
  assertEquals(count(), 0);
});

Deno.test("abortable() rejects at once if the signal is aborted already", async () => {
  const reason = new RangeError("enough");
  const never = new Promise<never>(() => {});
  const thrown = await assertRejects(() => abortable(never, AbortSignal.abort(reason)), RangeError);
  assert(thrown === reason);
});

Deno.test("abortable() leaves no rejection unhandled when the promise fails after the abort", async () => {
  const { promise, reject } = Promise.withResolvers<string>();
  const waiting = abortable(promise, AbortSignal.abort(new RangeError("enough")));
  await assertRejects(() => waiting, RangeError);
  reject(new Error("too late"));
  // An unhandled rejection would fail the test here.
  await nextTurn();
});

Deno.test("afterTime() acts once its time has passed, and not before", async () => {
  for (const ms of [0, 50, 350]) {
    const startMs = performance.now();
    await new Promise<void>((resolve) => afterTime(ms, resolve));
    assert(performance.now() - startMs >= ms);
  }
});

Deno.test("afterTime() does nothing once it was taken back, at whichever step", async () => {
  let acted = 0;
  const early = afterTime(300, () => acted++);
  const late = afterTime(300, () => acted++);
  early();
  await new Promise<void>((resolve) => afterTime(150, resolve));
  late();
  await new Promise<void>((resolve) => afterTime(400, resolve));
  assertEquals(acted, 0);
});
