import { decide, type Decision, type Member, type Other } from "./pod.ts";
import { assertEquals } from "../../tests/support/assert.ts";

const OWN: Member = {
  state: "running",
  succeeded: true,
  wasRefused: false,
  containers: 3,
  order: 5,
  failuresBefore: 0,
};

let number = 0;

function other(changes: Partial<Other> = {}): Other {
  return { ...OWN, name: `${++number}`, state: "left", order: 1, isAlive: false, ...changes };
}

const running = other({ state: "running", succeeded: false, order: 0, isAlive: true });
const killed = other({ state: "running", succeeded: false, order: 0, isAlive: false });
const done = other();
const failed = other({ succeeded: false });
const how = { on: "always", known: [], isLastChance: false } as const;
const last = { ...how, isLastChance: true } as const;
const success = { ...how, on: "success" } as const;
const failure = { ...how, on: "failure" } as const;

const ROWS: readonly (readonly [
  title: string,
  own: Member,
  others: readonly Other[],
  how: Parameters<typeof decide>[2],
  expected: Decision,
])[] = [
  ["two others run", OWN, [running, running, done], how, { kind: "leave", others: 2 }],
  ["two others run, at the last chance", OWN, [running], last, { kind: "leave", others: 1 }],
  ["all have ended", OWN, [done, failed], how, { kind: "stop" }],
  ["one was killed", OWN, [done, killed], how, { kind: "stop" }],
  ["one has not come", OWN, [done], how, { kind: "wait", came: 2 }],
  ["one has not come, and it is time", OWN, [done], last, { kind: "stop", came: 2 }],
  [
    "another stops the sidecars",
    OWN,
    [done, other({ state: "stopping", isAlive: true })],
    how,
    { kind: "leave", others: 1 },
  ],
  [
    "another was killed while it stopped the sidecars",
    OWN,
    [done, other({ state: "stopping", isAlive: false })],
    how,
    { kind: "stop" },
  ],
  [
    "another has told the sidecars",
    OWN,
    [done, other({ state: "told" })],
    how,
    { kind: "leave", others: 1 },
  ],
  [
    "another had told the sidecars before this one came",
    OWN,
    [done, other({ state: "told", name: "known" })],
    { ...how, known: ["known"] },
    { kind: "stop" },
  ],
  [
    "another waits too, and ended later",
    OWN,
    [other({ state: "waiting", order: 6, isAlive: true })],
    how,
    { kind: "leave", others: 1 },
  ],
  [
    "another waits too, and ended earlier",
    OWN,
    [other({ state: "waiting", order: 4, isAlive: true })],
    how,
    { kind: "wait", came: 2 },
  ],
  [
    "another that waited was killed",
    OWN,
    [other({ state: "waiting", order: 6 }), done],
    how,
    { kind: "stop" },
  ],
  ["another knows of four", OWN, [done, other({ containers: 4 })], how, { kind: "wait", came: 3 }],
  ["success: all succeeded", OWN, [done, done], success, { kind: "stop" }],
  ["success: one failed", OWN, [done, failed], success, { kind: "skip" }],
  ["success: this one failed", { ...OWN, succeeded: false }, [done, done], success, {
    kind: "skip",
  }],
  ["success: one has not come", OWN, [done], success, { kind: "wait", came: 2 }],
  ["success: a failed attempt does not count", OWN, [done, failed, done], success, {
    kind: "stop",
  }],
  [
    "success: a container that was started again has come once",
    { ...OWN, failuresBefore: 2 },
    [failed, failed],
    success,
    { kind: "wait", came: 1 },
  ],
  [
    "success: the settings of one were wrong",
    OWN,
    [done, other({ succeeded: false, wasRefused: true })],
    success,
    { kind: "stop" },
  ],
  [
    "success: the settings of one were wrong, and another has not come",
    OWN,
    [other({ succeeded: false, wasRefused: true })],
    success,
    { kind: "wait", came: 2 },
  ],
  ["failure: one failed", OWN, [done, failed], failure, { kind: "stop" }],
  ["failure: one was killed", OWN, [done, killed], failure, { kind: "stop" }],
  ["failure: none failed", OWN, [done, done], failure, { kind: "skip" }],
];

for (const [title, own, others, how, expected] of ROWS) {
  Deno.test(`decide(): ${title}`, () => assertEquals(decide(own, others, how), expected));
}
