import { OPTIONS } from "../options.ts";
import { helpText } from "./help.ts";
import { PRESETS } from "../../hooks/registry.ts";
import { couldBeTarget } from "../../hooks/target_hint.ts";
import { readInvocation } from "./settings.ts";
import { VERSION } from "./version.ts";
import { assert, assertEquals, assertStringIncludes } from "../../tests/support/assert.ts";

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
    '--strict "yes": expected true, false, 1 or 0; did you mean true?',
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
    "COMMAND is missing: write it after the options, as in wrapper --hook istio my-job --flag; " +
    "wrapper --help has the rest",
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

Deno.test("a wrong value of a known kind says what was meant", () => {
  const rows: readonly (readonly [option: string, text: string, hint: string])[] = [
    ["strict", "True", "did you mean true?"],
    ["strict", "yes", "did you mean true?"],
    ["reap", "No", "did you mean false?"],
    ["strict", '"true"', "remove the quotes"],
    ["retries", "'3'", "remove the quotes"],
    ["on", "Always", "did you mean always?"],
    ["on", "succes", "did you mean success?"],
    ["log-level", "warning", "did you mean warn?"],
    ["timeout", "5 minutes", "did you mean 5m?"],
    ["timeout", "1h 30min", "did you mean 1h30m?"],
    ["wait", "250 milliseconds", "did you mean 250ms?"],
    ["wait", "10S", "did you mean 10s?"],
  ];
  for (const [name, text, hint] of rows) {
    const [problem = ""] = readInvocation([`--${name}=${text}`, "c"], none).problems;
    assert(problem.startsWith(`--${name} ${JSON.stringify(text)}: expected `), problem);
    assert(problem.endsWith(`; ${hint}`), problem);
  }
  const [soon = ""] = readInvocation(["--wait=soon", "c"], none).problems;
  assert(!soon.includes("did you mean"), soon);
});

/** Reads these variables, as a program that can list them. */
function withVariables(environment: Record<string, string>, ...args: string[]) {
  const variables = Object.keys(environment);
  return readInvocation([...args, "c"], from(environment), {
    variables,
    couldBeTarget: (text) => couldBeTarget(text, PRESETS),
  });
}

Deno.test("a variable that is close to a known one, with a value of its kind, is an error", () => {
  const rows: readonly (readonly [name: string, value: string, meant: string])[] = [
    ["WRAPPER_HOOK", "linkerd", "WRAPPER_HOOKS"],
    ["WRAPPER_HOOK", "linkrd", "WRAPPER_HOOKS"],
    ["WRAPPER_HOKS", "http://localhost:1/quit", "WRAPPER_HOOKS"],
    ["WRAPPER_HOOK", "istio, signal:nginx", "WRAPPER_HOOKS"],
    ["wrapper_hooks", "istio", "WRAPPER_HOOKS"],
    ["WRAPPER-HOOKS", "istio", "WRAPPER_HOOKS"],
    ["WRAPER_HOOKS", "istio", "WRAPPER_HOOKS"],
    ["WARPPER_RETRIES", "3", "WRAPPER_RETRIES"],
    ["WRAPPER_STRICTS", "true", "WRAPPER_STRICT"],
    ["WRAPPER_SHUTDOWN_TIMOUT", "30s", "WRAPPER_SHUTDOWN_TIMEOUT"],
    ["WRAPPER_INJECT", "true", "WRAPPER_INJECTED"],
  ];
  for (const [name, value, meant] of rows) {
    const { problems, warnings, hookIsLost } = withVariables({ [name]: value });
    assertEquals(problems, [`unknown variable ${name}: did you mean ${meant}?`]);
    assertEquals([warnings, hookIsLost], [[], meant === "WRAPPER_HOOKS"]);
  }
});

Deno.test("any other variable of that kind is a warning that names the nearest", () => {
  const rows = [
    ["WRAPPER_OS", "linux", "WRAPPER_ON"],
    ["WRAPPER_TOOLS", "/opt/tools", "WRAPPER_HOOKS"],
    ["WRAPPER_STRICTS", "very", "WRAPPER_STRICT"],
  ] as const;
  for (const [name, value, near] of rows) {
    const { problems, warnings } = withVariables({ [name]: value });
    assertEquals(problems, []);
    assertEquals(warnings, [
      `${name} is ignored: no option has this variable; the nearest is ${near}`,
    ]);
  }
  const { problems, warnings } = withVariables({ WRAPPER_FROBNICATE: "sesame" });
  assertEquals([problems, warnings.length], [[], 1]);
  assert(!warnings.join().includes("sesame"));
});

Deno.test("nothing is said about known or empty variables, those of others, and service links", () => {
  const links = ["", "_WAIT", "_HOOK", "_A1"].flatMap((service) => [
    `WRAPPER${service}_SERVICE_HOST`,
    `WRAPPER${service}_SERVICE_PORT`,
    `WRAPPER${service}_SERVICE_PORT_HTTP_ADMIN`,
    `WRAPPER${service}_PORT`,
    ...["TCP", "UDP", "SCTP"].flatMap((protocol) =>
      ["", "_PROTO", "_PORT", "_ADDR"].map((end) => `WRAPPER${service}_PORT_80_${protocol}${end}`)
    ),
  ]);
  const quiet = [...links, "WRAPPERS_HOME", "MY_WRAPPER_HOOKS", "WRITER_HOOKS", "W_HOOKS", "PATH"];
  for (const name of quiet) {
    const { problems, warnings } = withVariables({ [name]: "istio" });
    assertEquals([problems, warnings], [[], []], name);
  }
  const known = Object.values(OPTIONS).map(({ variable }) => [variable, ""]);
  const { problems, warnings } = withVariables({
    ...Object.fromEntries(known),
    WRAPPER_HOOKS: "istio",
    WRAPPER_HOOK: "",
  });
  assertEquals([problems, warnings], [[], []]);
});

Deno.test("a hook may be lost in an unknown option, or one without its value", () => {
  const isLost = (...args: string[]) => readInvocation(args, none).hookIsLost;
  assertEquals(isLost("--hok", "linkerd", "c"), true);
  assertEquals(isLost("--sidecar=linkerd", "c"), true);
  assertEquals(isLost("--hook"), true);
  assertEquals(isLost("--hook=envoy", "--frobnicate", "c"), false);
  assertEquals(isLost("--hook=envoy", "--hok=linkerd", "c"), true);
  assertEquals(isLost("--retries=x", "c"), false);
  assertEquals(isLost("c"), false);
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
