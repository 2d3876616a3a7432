/** What COMMAND's first word means, and why it cannot be started. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import {
  both,
  COMPILED,
  ELF,
  findProgram,
  type Need,
  NOTHING,
  testWith,
} from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper, startProgram } from "../support/wrapper.ts";

/** It is in every case that must not print it. */
const SECRET = "sesame";

/** A folder with one program of each kind. */
function makePrograms(): string {
  const folder = Deno.makeTempDirSync();
  const write = (name: string, content: string | Uint8Array, mode = 0o755) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    Deno.writeFileSync(`${folder}/${name}`, bytes);
    Deno.chmodSync(`${folder}/${name}`, mode);
  };
  write("text", 'echo "$0 $1 $#"\n');
  write("empty", "");
  write("two words", "#!/bin/sh\nexit 9\n");
  write("no-interpreter", "#! /no/such/sh -e\nexit 0\n");
  write("through-it", `#!${folder}/no-interpreter\nexit 0\n`);
  write("interpreter-denied", `#!${folder}/not-executable\n`);
  write("windows-lines", "#!/bin/sh\r\nexit 0\r\n");
  write("windows-env", "#!/usr/bin/env sh\r\nexit 0\r\n");
  write("windows-env-words", "#! /usr/bin/env sh -e\r\nexit 0\r\n");
  write("not-executable", "#!/bin/sh\nexit 0\n", 0o644);
  const program = Deno.readFileSync("/bin/true");
  const machine = (number: number) => {
    const bytes = program.slice();
    bytes[18] = number;
    return bytes;
  };
  const [X86_64, ARM64, RISCV64] = [62, 183, 243];
  write("foreign", machine(program[18] === X86_64 ? ARM64 : X86_64));
  write("riscv", machine(RISCV64));
  write("cut", program.slice(0, 10));
  write("windows", "MZ\0\0\0\0");
  write("archive", "PK\x03\x04\x14\0\0\n");
  const loader = "/lib64/ld-linux-x86-64.so.2";
  const at = new TextDecoder("latin1").decode(program).indexOf(loader);
  if (at > 0) {
    const other = program.slice();
    other.set(new TextEncoder().encode("/lib64/ld-musl-x86-6.so.1\0\0"), at);
    write("other-libc", other);
  }
  return folder;
}

interface Row {
  readonly words: readonly string[];
  readonly code: number;
  /** What it is about, if not every machine has that. */
  readonly need?: Need<true>;
  /** What the log says, or COMMAND itself. */
  readonly says: string;
  /** The command's name in the summary, if it is not all of the word. */
  readonly shown?: string;
}

const ROWS: readonly Row[] = [
  { words: ["./text", "a", "b"], code: 0, says: "text a 2" },
  { words: ["./empty"], code: 0, says: "exit code 0" },
  // A file can have a blank in its name.
  { words: ["./two words"], code: 9, says: "exit code 9", shown: "./two" },
  { words: ["./no-interpreter"], code: 127, says: "its interpreter /no/such/sh is not found" },
  { words: ["./through-it"], code: 127, says: "its interpreter /no/such/sh is not found" },
  {
    words: ["./interpreter-denied"],
    code: 126,
    says: "/not-executable: permission denied: the file is not executable",
  },
  {
    words: ["./windows-lines"],
    code: 127,
    says: "its interpreter /bin/sh is not found, because a carriage return follows its name: " +
      "the script has Windows line endings",
  },
  ...["./windows-env", "./windows-env-words"].map((word) => ({
    words: [word],
    code: 127,
    says:
      `cannot start ${word}: its interpreter sh is not found, because a carriage return follows`,
  })),
  { words: ["./not-executable"], code: 126, says: "permission denied: the file is not executable" },
  {
    words: ["./foreign"],
    code: 126,
    need: ELF,
    says: "not an executable of this machine: it is built for",
  },
  { words: ["./riscv"], code: 126, need: ELF, says: "it is built for riscv64, and this is" },
  { words: ["./cut"], code: 126, need: ELF, says: "not an executable of this machine" },
  { words: ["./windows"], code: 126, says: "it is built for Windows" },
  { words: ["./archive"], code: 126, says: "not an executable of this machine" },
  { words: ["/tmp"], code: 126, says: "/tmp: is a folder" },
  { words: ["/dev/null"], code: 126, says: "is not a file" },
  { words: ["/etc/passwd/x"], code: 127, says: "a part of its path is not a folder" },
  { words: ["x".repeat(300)], code: 126, says: "its name is too long" },
  { words: [""], code: 127, says: "not found: its name is empty" },
  {
    words: [`my-job --password=${SECRET}`],
    code: 127,
    says: "cannot start my-job: not found: all of it is one word, blanks included",
    shown: "my-job",
  },
  {
    words: [`/usr/bin/env\tTOKEN=${SECRET} my-job`],
    code: 127,
    says: "cannot start /usr/bin/env: not found: all of it is one word",
    shown: "/usr/bin/env",
  },
  {
    words: [`TOKEN=${SECRET}`, "true"],
    code: 127,
    says:
      "cannot start TOKEN=: not found: NAME=VALUE before a command is a shell's syntax; write env",
    shown: "TOKEN=",
  },
  {
    words: ["true\r"],
    code: 127,
    // `deno run` removes a carriage return at the end of an argument.
    need: COMPILED,
    says: "cannot start true: not found: a carriage return follows its name",
    shown: "true",
  },
  {
    words: [` ${SECRET}`],
    code: 127,
    says: "cannot start …: not found: its name starts or ends with a blank",
    shown: "…",
  },
  {
    words: [`http://me:${SECRET} x@localhost/quit`],
    code: 127,
    says: "cannot start http:: not found",
    shown: "http:",
  },
];

Deno.test("an interpreter whose name does end with a carriage return is found", async () => {
  const cwd = makePrograms();
  Deno.writeTextFileSync(`${cwd}/odd\r`, "#!/bin/sh\nexit 8\n", { mode: 0o755 });
  Deno.writeTextFileSync(`${cwd}/script`, "#!/usr/bin/env odd\r\n", { mode: 0o755 });
  const env = { PATH: `${cwd}:${Deno.env.get("PATH")}` };
  const { code, stderr } = await runWrapper("binary", {
    args: ["--hook=none", "script"],
    cwd,
    env,
  });
  assertEquals(code, 8, stderr);
  Deno.removeSync(cwd, { recursive: true });
});

Deno.test("an interpreter of one's own that is called env gets the script, whatever its first line says", async () => {
  const cwd = makePrograms();
  Deno.symlinkSync("/bin/echo", `${cwd}/env`);
  Deno.writeTextFileSync(`${cwd}/script`, `#!${cwd}/env odd\r\n`, { mode: 0o755 });
  const { code, stdout, stderr } = await runWrapper("binary", {
    args: ["--hook=none", `${cwd}/script`],
    cwd,
  });
  assertEquals([code, stdout], [0, `odd\r ${cwd}/script\n`], stderr);
  Deno.removeSync(cwd, { recursive: true });
});

/** env differs here: it hands the first ones to a shell, and has 126 for all but "not found". */
const DIFFERS_FROM_ENV: ReadonlySet<string> = new Set([
  "./foreign",
  "./riscv",
  "./cut",
  "./windows",
  "./archive",
  "/etc/passwd/x",
]);

for (const { words, code, need = NOTHING, says, shown } of ROWS) {
  const title = JSON.stringify(words.join(" ").slice(0, 40));
  testWith(
    need,
    `COMMAND ${title}: ${code}, in a session of its own or not`,
    async () => {
      const cwd = makePrograms();
      await using sidecar = startSidecar();
      for (const option of ["--process-group=false", "--process-group"]) {
        for (const format of ["text", "json"]) {
          const log = `${cwd}/termination-log`;
          const args = [
            option,
            `--hook=${sidecar.origin}/quit`,
            `--log-format=${format}`,
            "--log-level=debug",
            `--termination-log=${log}`,
            ...words,
          ];
          const { code: got, stdout, stderr } = await runWrapper("binary", { args, cwd });
          assertEquals(got, code, stderr);
          if (format === "text") assertStringIncludes(stdout + stderr, says);
          const summary = Deno.readTextFileSync(log);
          assertEquals(JSON.parse(summary).command, shown ?? words[0]);
          assert(!(stdout + stderr + summary).includes(SECRET), stderr + summary);
          Deno.removeSync(log);
        }
      }
      assertEquals(sidecar.posts().length, 4);
      const [first = ""] = words;
      // env takes a NAME=VALUE for itself.
      if (!first.includes("=") && first !== "" && !DIFFERS_FROM_ENV.has(first)) {
        assertEquals((await startProgram(["env", ...words], { cwd }).ended).code, code, "execvp's");
      }
      await Deno.remove(cwd, { recursive: true });
    },
  );
}

testWith(
  C_COMPILER,
  "on a terminal, where COMMAND has no session of its own, all of it is the same",
  async () => {
    const cwd = makePrograms();
    const pty = compileFixture("pty");
    for (const { words, code, need, says } of ROWS) {
      if (need?.onlyOnLinux && Deno.build.os !== "linux") continue;
      const { code: got, stdout } = await startProgram(
        [pty, "60", BINARY, "--hook=none", "--log-level=debug", ...words],
        { cwd, stdin: "piped", detached: true },
      ).ended;
      assertEquals(got, code, stdout);
      assertStringIncludes(stdout, says);
      assert(!stdout.includes(SECRET), stdout);
    }
    await Deno.remove(cwd, { recursive: true });
  },
);

testWith(ELF, "a program that needs another C library's loader: the line names it", async () => {
  const cwd = makePrograms();
  const files = [...Deno.readDirSync(cwd)].map(({ name }) => name);
  // Only x86-64 has a loader of that name.
  if (Deno.build.arch === "x86_64") assert(files.includes("other-libc"));
  if (files.includes("other-libc")) {
    const { code, stderr } = await runWrapper("binary", {
      args: ["--hook=none", "./other-libc"],
      cwd,
    });
    assertEquals(code, 127);
    assertStringIncludes(
      stderr,
      "its loader /lib64/ld-musl-x86-6.so.1 is not found: it is built for another C library",
    );
  }
  await Deno.remove(cwd, { recursive: true });
});

// `deno run` sets PATH where it is not set.
testWith(COMPILED, "PATH is searched as execvp does", async () => {
  const cwd = makePrograms();
  Deno.mkdirSync(`${cwd}/closed`);
  Deno.writeTextFileSync(`${cwd}/closed/ls`, "#!/bin/sh\necho wrong\n", { mode: 0o644 });
  Deno.mkdirSync(`${cwd}/folder/ls`, { recursive: true });
  Deno.mkdirSync(`${cwd}/dangling`);
  Deno.writeTextFileSync(`${cwd}/dangling/ls`, "#!/no/such/interpreter\n", { mode: 0o755 });
  const PATHS: readonly (readonly [path: string | undefined, name: string, code: number])[] = [
    [undefined, "ls", 0],
    [undefined, "text", 127],
    ["", "text", 0],
    [`/no/such:${cwd}/closed:${cwd}/folder:${cwd}/dangling:/etc/passwd:/bin`, "ls", 0],
    [`${cwd}/closed:/no/such`, "ls", 126],
    [`${cwd}/folder:/no/such`, "ls", 126],
    [`${cwd}/dangling:${cwd}/closed`, "ls", 126],
    [`${cwd}/dangling:/no/such`, "ls", 127],
    ["/no/such:", "text", 0],
    ["/no/such", "ls", 127],
  ];
  for (const [path, name, code] of PATHS) {
    const setting = path === undefined ? ["-u", "PATH"] : [`PATH=${path}`];
    for (const words of [["--hook=none"], ["--hook=none", "--process-group"]]) {
      const got = await startProgram(["env", ...setting, BINARY, ...words, name], { cwd }).ended;
      assertEquals(got.code, code, `PATH=${path} ${name}: ${got.stderr}`);
      assert(!got.stdout.includes("wrong"));
    }
    // The first env is found on this process's PATH, the second one starts the program.
    const reference = await startProgram(["env", ...setting, "/usr/bin/env", name], { cwd }).ended;
    assertEquals(reference.code, code, `execvp: PATH=${path} ${name}`);
  }
  await Deno.remove(cwd, { recursive: true });
});

const OTHER_USER: Need<string> = {
  what: "root, to become another user (setpriv of util-linux)",
  find: () => Deno.uid() === 0 ? findProgram("setpriv") : undefined,
  onlyOnLinux: true,
};

testWith(
  OTHER_USER,
  "a program that this user may execute, but not read, is started",
  async (setpriv) => {
    const cwd = await Deno.makeTempDir();
    await Deno.chmod(cwd, 0o755);
    await Deno.copyFile("/bin/true", `${cwd}/unreadable`);
    await Deno.chmod(`${cwd}/unreadable`, 0o711);
    await Deno.writeTextFile(`${cwd}/others`, "exit 0\n");
    await Deno.chmod(`${cwd}/others`, 0o744);
    await Deno.copyFile(BINARY, `${cwd}/wrapper`);
    const as = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"];
    const run = (name: string) =>
      startProgram([...as, `${cwd}/wrapper`, "--hook=none", `${cwd}/${name}`], { cwd: "/" }).ended;
    assertEquals((await run("unreadable")).code, 0);
    const denied = await run("others");
    assertEquals(denied.code, 126);
    assertStringIncludes(denied.stderr, "permission denied");
    await Deno.remove(cwd, { recursive: true });
  },
);

const PYTHON: Need<string> = {
  what: "Python, which can execute a program with any environment (apt-get install python3)",
  find: () => findProgram("python3"),
};

testWith(
  both(PYTHON, COMPILED),
  "what the runtime changes: argv[0], and a malformed environment",
  async ([python]) => {
    const script = `import ctypes, sys
def array(*words): return (ctypes.c_char_p * (len(words) + 1))(*[w.encode() for w in words], None)
environment = array("A=1", "NOTHING", "A=2", "PATH=/bin:/usr/bin")
ctypes.CDLL(None).execve(sys.argv[1].encode(), array(*sys.argv[1:]), environment)`;
    for (const option of ["--process-group=false", "--process-group"]) {
      const words = [python, "-c", script, BINARY, "--hook=none", option];
      const { stdout } = await startProgram([
        ...words,
        "cat",
        "/proc/self/cmdline",
        "/proc/self/environ",
      ])
        .ended;
      assertEquals(stdout.split("\0").slice(0, -1).sort(), [
        "/bin/cat",
        "/proc/self/cmdline",
        "/proc/self/environ",
        "A=2",
        "PATH=/bin:/usr/bin",
      ]);
    }
  },
);
