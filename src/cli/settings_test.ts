import { OPTIONS } from "../options.ts";
import { helpText } from "./help.ts";
import { PRESETS } from "../../hooks/registry.ts";
import { readInvocation } from "./settings.ts";
import { VERSION } from "./version.ts";
import { assertEquals, assertStringIncludes } from "../../tests/support/assert.ts";

const none = () => undefined;
const from = (environment: Record<string, string>) => (name: string) => environment[name];

Deno.test("COMMAND's words are kept byte for byte", () => {
  const words = [
    "sh",
    "-c",
    "x",
    "--",
    "007",
    "1e3",
    "-x",
    "--help",
    "",
    "--hook",
    "--",
    "=",
    "ü\n",
  ];
  for (const before of [[], ["--"], ["--retries", "3", "--"], ["--strict"]]) {
    const { command, problems } = readInvocation([...before, ...words], none);
    assertEquals(command, words);
    assertEquals(problems, []);
  }
});

Deno.test("a COMMAND that looks like an option goes after --", () => {
  assertEquals(readInvocation(["--", "--help"], none).command, ["--help"]);
  assertEquals(readInvocation(["--", "--"], none).command, ["--"]);
  assertEquals(readInvocation(["-"], none).command, ["-"]);
  assertEquals(readInvocation([""], none).command, [""]);
});

Deno.test("--opt value and --opt=value mean the same", () => {
  for (const args of [["--retries", "3", "c"], ["--retries=3", "c"]]) {
    const { settings, command } = readInvocation(args, none);
    assertEquals([settings.retries, command], [3, ["c"]]);
  }
});

Deno.test("an option given twice: the last wins, but --hook adds up", () => {
  const { settings } = readInvocation(
    ["--retries=1", "--hook", "istio", "--retries=2", "--hook=envoy", "--hook=istio", "c"],
    none,
  );
  assertEquals(settings.retries, 2);
  assertEquals(settings.hook, ["istio", "envoy"]);
});

Deno.test("option beats variable beats default", () => {
  const environment = from({ WRAPPER_RETRIES: "5", WRAPPER_ON: "failure" });
  const { settings, origins } = readInvocation(["--retries=1", "c"], environment);
  assertEquals([settings.retries, origins.get("retries")], [1, "--retries"]);
  assertEquals([settings.on, origins.get("on")], ["failure", "WRAPPER_ON"]);
  assertEquals([settings.strict, origins.get("strict")], [false, "default"]);
});

Deno.test("a variable that is set but empty counts as not set", () => {
  const { settings, problems } = readInvocation(
    ["c"],
    from({ WRAPPER_RETRIES: "", WRAPPER_HOOKS: " " }),
  );
  assertEquals([settings.retries, settings.hook, problems], [10, ["istio"], []]);
});

Deno.test("a boolean option alone is true and takes a value only after =", () => {
  assertEquals(readInvocation(["--strict", "false"], none).settings.strict, true);
  assertEquals(readInvocation(["--strict", "false"], none).command, ["false"]);
  for (
    const [text, value] of [["true", true], ["1", true], ["false", false], ["0", false]] as const
  ) {
    assertEquals(readInvocation([`--strict=${text}`, "c"], none).settings.strict, value);
    assertEquals(readInvocation(["c"], from({ WRAPPER_STRICT: text })).settings.strict, value);
  }
  assertEquals(readInvocation(["--strict=yes", "c"], none).problems, [
    '--strict "yes": expected true, false, 1 or 0',
  ]);
});

Deno.test("WRAPPER_HOOKS is split at commas and blanks; a method belongs to the URL after it", () => {
  const read = (value: string) =>
    readInvocation(["c"], from({ WRAPPER_HOOKS: value })).settings.hook;
  assertEquals(read("istio, envoy\tlinkerd"), ["istio", "envoy", "linkerd"]);
  assertEquals(read("GET http://localhost:1/quit,PUT http://localhost:2/quit istio"), [
    "GET http://localhost:1/quit",
    "PUT http://localhost:2/quit",
    "istio",
  ]);
});

Deno.test("the startup window is 30s in a Kubernetes pod, else 0", () => {
  assertEquals(readInvocation(["c"], none).settings.startupWindowMs, 0);
  const pod = from({ KUBERNETES_SERVICE_HOST: "10.0.0.1" });
  assertEquals(readInvocation(["c"], pod).settings.startupWindowMs, 30_000);
  assertEquals(readInvocation(["--startup-window=0", "c"], pod).settings.startupWindowMs, 0);
});

Deno.test("--injected is what the injector wrote down: empty means something there alone", () => {
  const read = (value?: string) =>
    readInvocation(["c"], (name) => name === "WRAPPER_INJECTED" ? value : undefined).settings;
  assertEquals([undefined, "", " ", "0", "false", "FALSE"].map((value) => read(value).injected), [
    undefined,
    false,
    false,
    false,
    false,
    false,
  ]);
  assertEquals(["injected", "true", "no", "2.18"].map((value) => read(value).injected), [
    true,
    true,
    true,
    true,
  ]);
  assertEquals(read("injected").startupWindowMs, 600_000);
  assertEquals(read("").startupWindowMs, 0);
  assertEquals(readInvocation(["--injected", "", "c"], none).settings.injected, false);
});

Deno.test("every error names the option or variable, its value, and what was expected", () => {
  const problemsOf = (args: string[], environment = {}) =>
    readInvocation(args, from(environment)).problems;
  assertEquals(problemsOf(["--retries", "x", "c"]), [
    '--retries "x": expected a whole number from 0 to 999999',
  ]);
  assertEquals(problemsOf(["--on", "never", "c"]), [
    '--on "never": expected always, success or failure',
  ]);
  assertStringIncludes(
    problemsOf(["c"], { WRAPPER_SHUTDOWN_TIMEOUT: "soon" })[0] ?? "",
    [
      'WRAPPER_SHUTDOWN_TIMEOUT "soon": expected a duration such as 500ms',
    ].join(),
  );
  assertEquals(problemsOf(["--log-level"]), [
    "--log-level: its value is missing: expected error, warn, info or debug",
  ]);
  assertEquals(problemsOf([]), [
    "COMMAND is missing: expected wrapper [OPTION...] [--] COMMAND [ARG...]",
  ]);
  assertEquals(problemsOf(["--help=yes"]), ['--help "yes": takes no value']);
});

Deno.test("0 is refused where it does not mean off: a limit of 0 would never let a request finish", () => {
  for (const name of ["request-timeout", "shutdown-timeout"]) {
    const { problems } = readInvocation([`--${name}=0`, "c"], none);
    assertStringIncludes(problems[0] ?? "", `--${name} "0": expected a duration`);
    assertStringIncludes(problems[0] ?? "", "above 0");
  }
  assertEquals(readInvocation(["--wait=0", "--timeout=0", "c"], none).problems, []);
});

Deno.test("a misspelled option gets a suggestion, an unknown one a hint at the list", () => {
  const first = (word: string) => readInvocation([word, "c"], none).problems[0];
  assertEquals(first("--hok"), 'unknown option "--hok": did you mean --hook?');
  assertEquals(
    first("--request-timout=1"),
    'unknown option "--request-timout": did you mean --request-timeout?',
  );
  assertEquals(first("-x"), 'unknown option "-x": wrapper --help lists the options');
  assertEquals(
    first("--frobnicate"),
    'unknown option "--frobnicate": wrapper --help lists the options',
  );
});

Deno.test("a wrong value does not prevent the other settings from being read", () => {
  const { settings, problems } = readInvocation([
    "--retries=x",
    "--hook=envoy",
    "--on=failure",
    "c",
  ], none);
  assertEquals([settings.hook, settings.on, settings.retries], [["envoy"], "failure", 10]);
  assertEquals(problems.length, 1);
});

Deno.test("the version is the same in deno.json, in the code and in the changelog", () => {
  const read = (path: string) => Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));
  const { version } = JSON.parse(read("deno.json"));
  assertEquals(version, VERSION);
  assertStringIncludes(read("CHANGELOG.md"), `## ${VERSION}`);
});

Deno.test("--help names every option, variable and preset", () => {
  const help = helpText(PRESETS);
  for (const { name, variable } of Object.values(OPTIONS)) {
    assertStringIncludes(help, `--${name}`);
    assertStringIncludes(help, variable);
  }
  for (const { hookName } of PRESETS) assertStringIncludes(help, `  ${hookName}`);
});
