/** `signal:` with real processes, each with a unique name. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { both, NAMED_PROCESSES, type Need, testWith } from "../support/needs.ts";
import { BINARY, runWrapper, startWrapper } from "../support/wrapper.ts";

const UNIQUE = `${Deno.pid}`;

interface Program {
  /** Its base name. */
  readonly name: string;
  readonly path: string;
  [Symbol.dispose](): void;
}

/** A copy of `sleep` with this name, or a script with this name. */
function program(name: string, script?: string): Program {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/${name}`;
  if (script === undefined) Deno.copyFileSync("/bin/sleep", path);
  else Deno.writeTextFileSync(path, `#!/bin/sh\n${script}\n`);
  Deno.chmodSync(path, 0o755);
  return { name, path, [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
}

interface Started {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * What a script waits with until its stdin ends, as it does with the test. It starts no process: between its fork and its exec, that would have
 * the script's own name, and `signal:` would find two of them.
 */
const WAIT_WITHOUT_FORK = "while read line; do :; done";

/** Starts a program and waits until the new process has called exec. */
async function start(path: string, args: readonly string[] = ["1000"]): Promise<Started> {
  // stdin stays open, for a script that reads it.
  const child = new Deno.Command(path, { args: [...args], stdin: "piped", stdout: "piped" })
    .spawn();
  if (path.endsWith("sleep") || args[0] === "1000") {
    const name = path.split("/").at(-1) ?? "";
    while (!Deno.readTextFileSync(`/proc/${child.pid}/cmdline`).includes(name)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await child.stdout.cancel();
  } else {
    // A script prints a line when it is ready.
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
  }
  return {
    pid: child.pid,
    status: child.status,
    [Symbol.asyncDispose]: async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended, as it should.
      }
      await child.status;
    },
  };
}

const run = (...args: readonly string[]) => runWrapper("binary", { args });

testWith(
  NAMED_PROCESSES,
  "signal: ends every process with that name, even a long one",
  async () => {
    for (const name of [`s${UNIQUE}`, `a-sidecar-with-a-long-name-${UNIQUE}`]) {
      using sidecar = program(name);
      await using first = await start(sidecar.path);
      await using second = await start(sidecar.path);
      const { code, stderr } = await run(`--hook=signal:${name}`, "sh", "-c", "exit 4");
      assertEquals(code, 4, stderr);
      assertEquals((await first.status).signal, "SIGTERM");
      assertEquals((await second.status).signal, "SIGTERM");
      assertMatch(stderr, /told to quit \(SIGTERM; processes \d+, \d+ gone\)/);
    }
  },
);

testWith(
  NAMED_PROCESSES,
  "signal: finds a script by its name, and sends the given signal",
  async () => {
    for (const name of [`x${UNIQUE}`, `a-script-with-a-long-name-${UNIQUE}`]) {
      using sidecar = program(
        name,
        `trap 'exit 7' USR1; trap '' TERM; echo up; ${WAIT_WITHOUT_FORK}`,
      );
      await using started = await start(sidecar.path, []);
      const { stderr } = await run(`--hook=signal:${name}:USR1`, "true");
      assertEquals((await started.status).code, 7, stderr);
      assertStringIncludes(stderr, `${name}: told to quit (SIGUSR1; process ${started.pid} gone)`);
    }
  },
);

testWith(
  NAMED_PROCESSES,
  "signal: ignores another program whose truncated name is the same",
  async () => {
    using other = program(`the-same-fifteen-letters-${UNIQUE}-other`);
    await using started = await start(other.path);
    const { stderr } = await run(`--hook=signal:the-same-fifteen-letters-${UNIQUE}-mine`, "true");
    assertStringIncludes(stderr, "no such process");
    assertStringIncludes(stderr, "shareProcessNamespace: true");
    assertEquals(Deno.readTextFileSync(`/proc/${started.pid}/stat`).split(") ")[1]?.[0], "S");
  },
);

testWith(
  NAMED_PROCESSES,
  "signal: a process that ignores it is a failure at the deadline",
  async () => {
    using sidecar = program(
      `d${UNIQUE}`,
      `trap '' TERM; echo up; ${WAIT_WITHOUT_FORK}`,
    );
    await using started = await start(sidecar.path, []);
    const args = ["--strict", `--hook=signal:${sidecar.name}`, "--shutdown-timeout=700ms", "true"];
    const { code, stderr, durationMs } = await run(...args);
    assertEquals(code, 125);
    assertMatch(
      stderr,
      new RegExp(
        `NOT stopped.*process ${started.pid} still there [\\d.]+m?s after SIGTERM at signal:${sidecar.name}:SIGTERM`,
      ),
    );
    assert(durationMs >= 700 && durationMs < 700 + 5000, `took ${durationMs} ms`);
  },
);

testWith(NAMED_PROCESSES, "signal: a zombie counts as gone", async () => {
  using sidecar = program(`z${UNIQUE}`);
  // The sidecar's parent never waits for it. It is up when it has its own name, and no longer the shell's.
  const script =
    `"$0" 1000 & until [ /proc/$!/exe -ef "$0" ]; do :; done; echo up; exec sleep 1000`;
  await using parent = await start("/bin/sh", ["-c", script, sidecar.path]);
  const { stderr } = await run(`--hook=signal:${sidecar.name}`, "true");
  assertMatch(stderr, /told to quit \(SIGTERM; process \d+ gone\)/);
  assert(parent.pid > 0);
});

testWith(
  NAMED_PROCESSES,
  "signal: a COMMAND with the same name is not taken for the sidecar, nor signaled",
  async () => {
    using command = program(`c${UNIQUE}`);
    const { code, stderr } = await run(
      "--log-level=debug",
      `--hook=signal:${command.name}`,
      command.path,
      "0.3",
    );
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "no such process");
    assert(!stderr.includes("seen at"), stderr);
  },
);

testWith(
  NAMED_PROCESSES,
  "signal: a process that starts within the startup window is ended",
  async () => {
    using sidecar = program(`w${UNIQUE}`);
    const wrapper = startWrapper("binary", {
      args: [`--hook=signal:${sidecar.name}`, "--startup-window=60s", "true"],
    });
    await wrapper.waitFor("not there yet");
    await using started = await start(sidecar.path);
    const { code, stderr } = await wrapper.ended;
    assertEquals([code, (await started.status).signal], [0, "SIGTERM"], stderr);
  },
);

Deno.test("signal: an invalid signal is a clear error", async () => {
  const rows = [
    ["signal:nginx:SIGQUITE", "expected a signal's name: SIGABRT, "],
    ["signal:nginx:9", "expected a signal's name: SIGABRT, "],
    ["signal:", "expected signal:NAME[:SIGNAL]"],
    ["signal:a:TERM:x", "expected signal:NAME[:SIGNAL]"],
    ["signal:/usr/sbin/nginx", "expected one without blanks or /"],
  ] as const;
  for (const [target, expected] of rows) {
    const { code, stderr } = await run("--hook=none", `--hook=${target}`, "true");
    assertEquals(code, 125);
    assertStringIncludes(stderr, `--hook ${JSON.stringify(target)}`);
    assertStringIncludes(stderr, expected);
  }
});

const ROOT: Need<true> = {
  what: "root, to run as a user who may not signal another user's process",
  find: () => Deno.uid() === 0 ? true : undefined,
};

testWith(
  both(ROOT, NAMED_PROCESSES),
  "signal: another user's process is a failure that says what to do",
  async () => {
    using sidecar = program(`o${UNIQUE}`);
    await using started = await start(sidecar.path);
    // The binary must be readable for every user.
    const folder = Deno.makeTempDirSync();
    Deno.chmodSync(folder, 0o755);
    Deno.copyFileSync(BINARY, `${folder}/wrapper`);
    Deno.chmodSync(`${folder}/wrapper`, 0o755);
    try {
      const { code, stderr } = await new Deno.Command(`${folder}/wrapper`, {
        args: [`--hook=signal:${sidecar.name}`, "--shutdown-timeout=5s", "true"],
        cwd: "/",
        uid: 65534,
      }).output();
      const text = new TextDecoder().decode(stderr);
      assertEquals(code, 0, text);
      assertStringIncludes(text, `not permitted to signal process ${started.pid}`);
      assertStringIncludes(text, "as the sidecar's user");
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
);
