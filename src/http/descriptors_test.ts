import { whenThereIsRoom } from "./descriptors.ts";
import { assertEquals, assertRejects } from "../../tests/support/assert.ts";

const full = () => Object.assign(new Error("too many open files"), { code: "EMFILE" });

Deno.test("whenThereIsRoom() tries again until a descriptor is free", async () => {
  let attempts = 0;
  const opened = await whenThereIsRoom(
    new AbortController().signal,
    () => ++attempts < 4 ? Promise.reject(full()) : Promise.resolve("open"),
  );
  assertEquals([opened, attempts], ["open", 4]);
});

Deno.test("whenThereIsRoom() ends with the reason when it has to give up", async () => {
  const giveUp = new AbortController();
  await assertRejects(
    () =>
      whenThereIsRoom(giveUp.signal, () => {
        giveUp.abort();
        return Promise.reject(full());
      }),
    Error,
    "too many open files",
  );
});

Deno.test("whenThereIsRoom() does not repeat any other failure", async () => {
  let attempts = 0;
  await assertRejects(() =>
    whenThereIsRoom(new AbortController().signal, () => {
      attempts++;
      return Promise.reject(new Error("connection refused"));
    })
  );
  assertEquals(attempts, 1);
});
