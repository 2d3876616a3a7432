/** `--containers`: several wrappers that share a pod's sidecars. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type Sidecar, startSidecar } from "../support/sidecar.ts";
import { type Running, runWrapper, startWrapper } from "../support/wrapper.ts";

const HOUR = "--startup-window=1h";

/** A pod: a shared folder and a sidecar. */
async function withPod(
  body: (pod: {
    readonly dir: string;
    readonly sidecar: Sidecar;
    start(args: readonly string[], script: string): Running;
  }) => Promise<void>,
): Promise<void> {
  const dir = Deno.makeTempDirSync();
  await using sidecar = startSidecar();
  const started: Running[] = [];
  try {
    await body({
      dir,
      sidecar,
      start(args, script) {
        const running = startWrapper("binary", {
          args: [
            `--hook=${sidecar.origin}/quit`,
            `--shared-dir=${dir}`,
            ...args,
            "sh",
            "-c",
            script,
          ],
          stdin: "piped",
        });
        started.push(running);
        return running;
      },
    });
  } finally {
    for (const running of started) await running[Symbol.asyncDispose]();
    Deno.removeSync(dir, { recursive: true });
  }
}

/** COMMAND that runs until it gets a line, which is its exit code. */
const HELD = 'echo running; read code; exit "$code"';

/** Kills a wrapper, and lets COMMAND, which it leaves behind, read the end of its stdin. */
async function killHard(running: Running): Promise<void> {
  running.kill("SIGKILL");
  await running.child.stdin.close();
  await running.ended;
}

Deno.test("only the last of two containers to end stops the sidecar", () =>
  withPod(async ({ sidecar, start }) => {
    const [first, second] = [start(["--containers=2"], HELD), start(["--containers=2"], HELD)];
    await Promise.all([first.waitFor("running"), second.waitFor("running")]);
    await first.type("3\n");
    const left = await first.ended;
    assertEquals([left.code, sidecar.posts().length], [3, 0], left.stderr);
    assertStringIncludes(left.stderr, "left the sidecars to 1 other container of this pod");
    await second.type("0\n");
    const last = await second.ended;
    assertEquals([last.code, sidecar.posts().length], [0, 1], last.stderr);
    assertStringIncludes(last.stderr, "told to quit");
  }));

Deno.test("the outcome in the termination log is `left`, which --strict accepts", () =>
  withPod(async ({ dir, start }) => {
    const other = start(["--containers=2"], HELD);
    await other.waitFor("running");
    const log = Deno.makeTempFileSync();
    const one = start(["--containers=2", "--strict", `--termination-log=${log}`], "exit 0");
    assertEquals((await one.ended).code, 0);
    const { hooks } = JSON.parse(Deno.readTextFileSync(log));
    assertEquals(hooks.map(({ outcome }: { outcome: string }) => outcome), ["left"]);
    Deno.removeSync(log);
    assertEquals([...Deno.readDirSync(dir)].every(({ isFile }) => isFile), true);
  }));

Deno.test("a wrapper that was killed has ended", () =>
  withPod(async ({ sidecar, start }) => {
    const [first, second] = [start(["--containers=2"], HELD), start(["--containers=2"], HELD)];
    await Promise.all([first.waitFor("running"), second.waitFor("running")]);
    await killHard(first);
    await second.type("0\n");
    assertEquals((await second.ended).code, 0);
    assertEquals(sidecar.posts().length, 1);
  }));

Deno.test("a container that has not come yet is waited for, and then left to", () =>
  withPod(async ({ sidecar, start }) => {
    const first = start(["--containers=2", HOUR], "exit 3");
    await first.waitFor("1 of 2 containers have come so far, and all of them have ended");
    const second = start(["--containers=2", HOUR], HELD);
    const { code, stderr } = await first.ended;
    assertEquals([code, sidecar.posts().length], [3, 0]);
    assertStringIncludes(stderr, "left the sidecars to 1 other container");
    await second.type("0\n");
    await second.ended;
    assertEquals(sidecar.posts().length, 1);
  }));

Deno.test("a wrong N: after the startup window a warning with both numbers, and the hooks run", () =>
  withPod(async ({ sidecar, start }) => {
    const one = start(["--containers=3", "--startup-window=300ms"], "exit 3");
    const { code, stderr } = await one.ended;
    assertEquals([code, sidecar.posts().length], [3, 1], stderr);
    assertStringIncludes(stderr, "warn: only 1 of 3 containers have come (--containers)");
    // A container that comes too late is told so, and still ends.
    const late = await start(["--containers=3", "--startup-window=0"], "exit 4").ended;
    assertEquals(late.code, 4);
    assertStringIncludes(
      late.stderr,
      "the sidecars were told to quit before this container started",
    );
  }));

Deno.test("a window that was not set is 10 minutes for further containers", () =>
  withPod(async ({ start }) => {
    const one = start(["--containers=2"], "exit 3");
    await one.waitFor("expecting others for another ");
    assertMatch(one.output.stderr, /for another (10m|9m5\d)/);
  }));

Deno.test("more than N at the same time: a warning, and the larger number counts", () =>
  withPod(async ({ sidecar, start }) => {
    const all = [1, 2, 3].map(() => start(["--containers=2", HOUR], HELD));
    await Promise.all(all.map((one) => one.waitFor("running")));
    // Whoever came last has warned; it ends first, so that another one is the last to end.
    const isWarned = (one: typeof all[number]) => one.output.stderr.includes("not 2") ? 0 : 1;
    const order = all.sort((one, other) => isWarned(one) - isWarned(other));
    for (const [index, one] of order.entries()) {
      await one.type("0\n");
      await one.ended;
      assertEquals(sidecar.posts().length, index === 2 ? 1 : 0);
    }
    const texts = all.map(({ output }) => output.stderr).join("");
    assertEquals(texts.match(/3 containers run under the wrapper, not 2/g)?.length, 1, texts);
  }));

Deno.test("more than N have succeeded, one after another: a warning", () =>
  withPod(async ({ sidecar, start }) => {
    const other = start(["--containers=2", HOUR], HELD);
    await other.waitFor("running");
    for (const _ of ["second", "third"]) {
      const { code, stderr } = await start(["--containers=2", HOUR], "exit 0").ended;
      assertEquals([code, stderr.includes("not 2 (--containers)")], [0, false], stderr);
    }
    await other.type("0\n");
    const { code, stderr } = await other.ended;
    assertEquals([code, sidecar.posts().length], [0, 1]);
    assertStringIncludes(stderr, "warn: 3 containers run under the wrapper, not 2 (--containers)");
  }));

Deno.test("--on success: a failed attempt is none, and does not count", () =>
  withPod(async ({ sidecar, start }) => {
    const args = ["--containers=2", "--on=success", HOUR];
    const other = start(args, HELD);
    await other.waitFor("running");
    // As with restartPolicy: OnFailure.
    assertEquals((await start(args, "exit 1").ended).code, 1);
    assertEquals((await start(args, "exit 0").ended).code, 0);
    assertEquals(sidecar.posts().length, 0);
    await other.type("0\n");
    assertEquals((await other.ended).code, 0);
    assertEquals(sidecar.posts().length, 1);
  }));

Deno.test("--on success: the last one fails, and its next attempt stops the sidecar", () =>
  withPod(async ({ sidecar, start }) => {
    const args = ["--containers=2", "--on=success", HOUR];
    const other = start(args, HELD);
    await other.waitFor("running");
    await start(args, "exit 0").ended;
    await other.type("1\n");
    assertStringIncludes((await other.ended).stderr, "hooks not run");
    assertEquals(sidecar.posts().length, 0);
    await start(args, "exit 0").ended;
    assertEquals(sidecar.posts().length, 1);
  }));

Deno.test("--on failure: if one has failed", () =>
  withPod(async ({ sidecar, start }) => {
    const args = ["--containers=2", "--on=failure", HOUR];
    const other = start(args, HELD);
    await other.waitFor("running");
    await start(args, "exit 1").ended;
    await other.type("0\n");
    await other.ended;
    assertEquals(sidecar.posts().length, 1);
  }));

Deno.test("SIGTERM: no other container is expected, and those alive keep the sidecars", () =>
  withPod(async ({ sidecar, start }) => {
    const waiting = start(["--containers=3", HOUR], "exit 3");
    await waiting.waitFor("1 of 3 containers have come so far");
    waiting.kill("SIGTERM");
    assertEquals((await waiting.ended).code, 3);
    assertEquals(sidecar.posts().length, 1);
    const [first, second] = [1, 2].map(() =>
      start(["--containers=3", HOUR], "echo running; exec sleep 600")
    );
    assert(first !== undefined && second !== undefined);
    await Promise.all([first.waitFor("running"), second.waitFor("running")]);
    first.kill("SIGTERM");
    assertStringIncludes((await first.ended).stderr, "left the sidecars to 1 other container");
    second.kill("SIGTERM");
    const { code } = await second.ended;
    assertEquals([code, sidecar.posts().length], [143, 2]);
  }));

Deno.test("a settings error is that container's end, and leaves the sidecars to the others", () =>
  withPod(async ({ sidecar, start }) => {
    const other = start(["--containers=2", HOUR], HELD);
    await other.waitFor("running");
    const { code, stderr } = await start(["--containers=2", "--retries=many"], "echo no").ended;
    assertEquals([code, sidecar.posts().length], [125, 0], stderr);
    assertStringIncludes(stderr, "left the sidecars to 1 other container");
    await other.type("0\n");
    await other.ended;
    assertEquals(sidecar.posts().length, 1);
  }));

for (const wrong of ["--containers=two", "--containrs=2"]) {
  Deno.test(`${wrong} leaves the sidecars to the other containers, too`, () =>
    withPod(async ({ sidecar, start }) => {
      const other = start(["--containers=2", HOUR], HELD);
      await other.waitFor("running");
      const { code, stderr } = await start([wrong], "echo no").ended;
      assertEquals([code, sidecar.posts().length], [125, 0], stderr);
      assertStringIncludes(stderr, "left the sidecars to 1 other container");
      await other.type("0\n");
      await other.ended;
      assertEquals(sidecar.posts().length, 1);
    }));
}

Deno.test("--on success: after a settings error of one container the last one stops the sidecars", () =>
  withPod(async ({ sidecar, start }) => {
    const args = ["--containers=2", "--on=success", HOUR];
    const other = start(args, HELD);
    await other.waitFor("running");
    const wrong = await start([...args, "--env-file=/no/such/file"], "echo no").ended;
    assertEquals([wrong.code, wrong.stdout, sidecar.posts().length], [125, "", 0], wrong.stderr);
    await other.type("0\n");
    const { code, stderr } = await other.ended;
    assertEquals([code, sidecar.posts().length], [0, 1], stderr);
  }));

Deno.test("a folder that cannot be used is a settings error that names it and what it needs", async () => {
  const dir = Deno.makeTempDirSync();
  Deno.writeTextFileSync(`${dir}/file`, "");
  for (const path of [`${dir}/none`, `${dir}/file`, "/proc", "/sys"]) {
    await using sidecar = startSidecar();
    const { code, stdout, stderr } = await runWrapper("binary", {
      args: [
        `--hook=${sidecar.origin}/quit`,
        "--containers=2",
        `--shared-dir=${path}`,
        "echo",
        "started",
      ],
    });
    assertEquals([code, stdout, sidecar.posts().length], [125, "", 1], stderr);
    assertStringIncludes(stderr, `--shared-dir "${path}": `);
    assertMatch(stderr, /emptyDir: \{\}.*volumeMounts: .*mountPath: /);
  }
  Deno.removeSync(dir, { recursive: true });
});

for (const wrong of ["0", "-1", "two", "1.5"]) {
  Deno.test(`--containers=${wrong} is a settings error`, async () => {
    const args = [`--containers=${wrong}`, "--hook=none", "true"];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 125);
    assertStringIncludes(stderr, `--containers "${wrong}": expected a whole number from 1`);
  });
}

Deno.test("what is in the folder and is no wrapper's file is ignored, and left as it is", () =>
  withPod(async ({ dir, sidecar, start }) => {
    const name = (digit: string) =>
      `${dir}/${digit.repeat(8)}-0000-4000-8000-${digit.repeat(12)}.json`;
    Deno.writeTextFileSync(`${dir}/target`, '{"state":"running","containers":9}');
    Deno.symlinkSync(`${dir}/target`, name("1"));
    new Deno.Command("mkfifo", { args: [name("2")] }).outputSync();
    Deno.mkdirSync(name("3"));
    Deno.writeTextFileSync(name("4"), "something else");
    Deno.writeTextFileSync(`${dir}/notes.json`, '{"state":"running"}');
    Deno.writeTextFileSync(`${dir}/lock`, "");
    const names = () => [...Deno.readDirSync(dir)].map(({ name }) => name).length;
    const before = names();
    const other = start(["--containers=2", HOUR], HELD);
    await other.waitFor("running");
    await start(["--containers=2", HOUR], "exit 0").ended;
    assertEquals(sidecar.posts().length, 0);
    await other.type("0\n");
    await other.ended;
    assertEquals(sidecar.posts().length, 1);
    assertEquals(names(), before + 2);
    assertEquals(Deno.readTextFileSync(name("4")), "something else");
  }));

Deno.test("200 pods of 2 to 5 containers that end in random order, some by SIGKILL", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const onePod = () =>
    withPod(async ({ sidecar, start }) => {
      const count = 2 + random(4);
      const killed = Array.from({ length: count }, () => random(4) === 0);
      const all = killed.map(() => start([`--containers=${count}`, HOUR], HELD));
      await Promise.all(all.map((one) => one.waitFor("running")));
      let earlyPosts = 0;
      const ends = all.map((one, index) => ({ one, index, order: random(1000) }))
        .toSorted((a, b) => a.order - b.order);
      for (const { one, index } of ends) {
        // One that is alive here has not been told to end yet.
        earlyPosts += sidecar.posts().length;
        await new Promise((resolve) => setTimeout(resolve, random(20)));
        // A killed one is gone before the next ends; the others may end at the same time.
        if (killed[index]) await killHard(one);
        else await one.type("0\n");
      }
      await Promise.all(all.map(({ ended }) => ended));
      const lastKilled = killed[ends.at(-1)?.index ?? 0];
      const where = `seed ${seed}: ${all.map(({ output }) => output.stderr).join("---\n")}`;
      assertEquals(earlyPosts, 0, where);
      const posts = sidecar.posts().length;
      // If the very last was killed, nobody could know.
      assert(lastKilled ? posts <= 1 : posts === 1, `${posts}: ${where}`);
    });
  for (let done = 0; done < 200; done += 8) {
    await Promise.all(Array.from({ length: 8 }, onePod));
  }
});
