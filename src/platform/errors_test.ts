/** The meaning of errors: real ones, as this runtime and `node:` modules throw them. */

import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import {
  errorCode,
  errorReason,
  errorText,
  fileErrorReason,
  isNobodyListening,
  isRefused,
  startErrorReason,
  thrownReason,
} from "./errors.ts";
import { describeDefect } from "../log/redact.ts";
import { assert, assertEquals } from "../../tests/support/assert.ts";
import { freePort } from "../../tests/support/sidecar.ts";

/** The error that an action throws, at once or later. */
async function errorOf(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    await body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const onEvent = (emitter: { once(event: "error", reject: (error: Error) => void): void }) =>
  new Promise<never>((_, reject) => emitter.once("error", reject));

Deno.test("a file that cannot be used: the code, and words for an operator", () =>
  inFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/file`, "");
    const rows: readonly (readonly [action: () => unknown, code: string, reason: string])[] = [
      [() => Deno.readTextFileSync(`${folder}/no`), "ENOENT", "no such file or folder"],
      [() => fs.readFileSync(`${folder}/no`), "ENOENT", "no such file or folder"],
      [
        () => Deno.readTextFileSync(`${folder}/file/no`),
        "ENOTDIR",
        "a part of its path is not a folder",
      ],
      [() => Deno.readTextFileSync(folder), "EISDIR", "is a folder"],
      [() => fs.readFileSync(folder), "EISDIR", "is a folder"],
      [() => Deno.mkdirSync(folder), "EEXIST", "already exists"],
      [() => Deno.removeSync(folder), "ENOTEMPTY", "is a folder"],
      [() => Deno.writeTextFileSync("/dev/full", "text"), "ENOSPC", "no space left on the disk"],
      [() => fs.writeFileSync("/dev/full", "text"), "ENOSPC", "no space left on the disk"],
      [() => Deno.statSync(`${folder}/${"x".repeat(300)}`), "ENAMETOOLONG", "its name is too long"],
    ];
    for (const [action, code, reason] of rows) {
      const error = await errorOf(action);
      assertEquals([errorCode(error), fileErrorReason(error)], [code, reason], errorText(error));
    }
  }));

Deno.test("a command that cannot be started: the code, words, and the exit code", () =>
  inFolder(async (folder) => {
    const script = `${folder}/script`;
    Deno.writeTextFileSync(script, "#!/bin/sh\n");
    Deno.chmodSync(script, 0o644);
    const start = (file: string, ...args: readonly string[]) => () =>
      new Deno.Command(file, { args: [...args] }).spawn();
    const rows: readonly (readonly [() => unknown, code: string, start: [string, number]])[] = [
      [start(folder), "EACCES", ["permission denied", 126]],
      [start(script), "EACCES", ["permission denied", 126]],
      [start(`${folder}/no`), "ENOENT", ["not found", 127]],
      // Deno searches PATH itself.
      [start("no-such-command-on-path"), "ENOENT", ["not found", 127]],
      [() => onEvent(spawn("no-such-command-on-path")), "ENOENT", ["not found", 127]],
      [start(`${script}/no`), "ENOTDIR", ["not found: a part of its path is not a folder", 127]],
      [
        start("true", "x".repeat(200_000)),
        "E2BIG",
        ["arguments and environment are too long", 126],
      ],
    ];
    for (const [action, code, reason] of rows) {
      const error = await errorOf(action);
      assertEquals([errorCode(error), startErrorReason(error)], [code, reason], errorText(error));
    }
  }));

Deno.test("an error without a code is recognized by the system's number, or by Deno's class", () => {
  // Deno 2.7 throws this. Deno 2.9 hands such a file to a shell, as execvp(3) does.
  const noFormat = new Error("Failed to spawn '/tmp/file': Exec format error (os error 8)");
  assertEquals(errorCode(noFormat), "ENOEXEC");
  assertEquals(startErrorReason(noFormat)[1], 126);
  assertEquals(errorCode(new Deno.errors.NotFound("entity not found")), "ENOENT");
});

Deno.test("a connection that is refused, or a Unix socket that is missing: nobody listens", async () => {
  const port = freePort();
  const hostname = "127.0.0.1";
  const rows: readonly (readonly [() => unknown, code: string, isRefused: boolean])[] = [
    [() => Deno.connect({ hostname, port }), "ECONNREFUSED", true],
    [() => onEvent(net.connect(port, hostname)), "ECONNREFUSED", true],
    [() => Deno.connect({ transport: "unix", path: "/no/such.sock" }), "ENOENT", false],
    [() => onEvent(net.connect("/no/such.sock")), "ENOENT", false],
  ];
  for (const [action, code, refused] of rows) {
    const error = await errorOf(action);
    assertEquals([errorCode(error), isRefused(error)], [code, refused], errorText(error));
    assert(isNobodyListening(error), errorText(error));
  }
});

Deno.test("a refused connection is found behind the error of fetch() too", async () => {
  const error = await errorOf(() => fetch(`http://127.0.0.1:${freePort()}`));
  assert(isRefused(error), errorText(error));
  // As Node has it.
  const cause = await errorOf(() => onEvent(net.connect(freePort(), "127.0.0.1")));
  assert(isRefused(new TypeError("fetch failed", { cause })));
});

Deno.test("an error without a code is described by its author, if that is not the runtime", () => {
  const defect = new Error("a defect");
  assertEquals([errorCode(defect), errorText(defect)], ["", "a defect"]);
  assertEquals([isNobodyListening(defect), isRefused(defect)], [false, false]);
  assertEquals(thrownReason(defect), "a defect");
  assertEquals(thrownReason("a defect"), "a defect");
  assertEquals(errorText(undefined), "undefined");
});

Deno.test("nothing that a runtime says is repeated, but for what has no variable part", () => {
  const secret = "sesame";
  const quoting = [
    new TypeError(`Invalid header value: "${secret}"`),
    new Error(`oh no (os error 999): ${secret}`),
    Object.assign(new Error(`${secret}: unknown`), { code: "EWHATEVER" }),
    new DOMException(secret, "DataCloneError"),
    new Deno.errors.NotCapable(`Requires read access to "/${secret}", run again with --allow-read`),
    new Deno.errors.InvalidData(
      `invalid peer certificate: certificate not valid for name "${secret}"`,
    ),
    new Deno.errors.PermissionDenied(`Failed to spawn '${secret}': not allowed (os error 13)`),
  ];
  for (const error of quoting) {
    const reasons = [
      errorReason(error),
      thrownReason(error),
      fileErrorReason(error),
      startErrorReason(error)[0],
      describeDefect(error),
    ];
    assertEquals(reasons.filter((text) => text.includes(secret) || text === ""), [], error.name);
  }
  assertEquals(quoting.map(errorReason), [
    "TypeError",
    "Error",
    "Error (EWHATEVER)",
    "DataCloneError",
    "the permission --allow-read is missing",
    "invalid peer certificate: NotValidForName",
    "permission denied",
  ]);
});

Deno.test("a defect is described by its class and its place, whatever its message looks like", () => {
  const described = describeDefect(new RangeError("first\n    at sesame (file:///x.ts:1:1)"));
  assert(/^RangeError at .*errors_test\.ts:\d+:\d+\)?$/.test(described), described);
});
