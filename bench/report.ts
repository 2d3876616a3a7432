/**
 * Turns the figures of one run into tables, goals and a chart.
 *
 * @module
 */

import {
  FLOOR,
  FLOOR_KY,
  FLOOR_SOCKET,
  WRAPPER,
  WRAPPER_CONTAINERS,
  WRAPPER_NO_HOOK,
  WRAPPER_URL,
} from "./contestants.ts";

/** What is measured. */
export type Measure = keyof typeof MEASURES;

/** Each measure's heading and unit. */
export const MEASURES = {
  "start": ["start", "ms"],
  "whole": ["whole run", "ms"],
  "cpu": ["CPU time", "ms"],
  "peak": ["peak memory", "MB"],
  "stop-50ms": ["request, 50 ms job", "ms"],
  "exit-50ms": ["exit, 50 ms job", "ms"],
  "stop-1s": ["request, 1 s job", "ms"],
  "exit-1s": ["exit, 1 s job", "ms"],
  "stop-10s": ["request, 10 s job", "ms"],
  "exit-10s": ["exit, 10 s job", "ms"],
  "waiting-cpu": ["CPU time", "ms"],
  "waiting-switches": ["context switches", ""],
  "waiting-resident": ["resident", "MB"],
  "waiting-proportional": ["proportional", "MB"],
  "hooks-1": ["1 hook", "ms"],
  "hooks-5": ["5 hooks", "ms"],
  "hooks-20": ["20 hooks", "ms"],
  "at-once-1": ["1", "ms"],
  "at-once-10": ["10", "ms"],
  "at-once-50": ["50", "ms"],
  "size": ["files", "MB"],
  "size-compressed": ["as an image layer", "MB"],
} as const satisfies Record<string, readonly [heading: string, unit: "ms" | "MB" | ""]>;

/** The median of a measure's values, the quartiles, and the value that one of ten exceeds. */
export interface Figure {
  readonly measure: Measure;
  /** The program that was measured; for a series within one program, the part of it. */
  readonly who: string;
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  /** Not in the results of earlier versions. */
  readonly p90?: number;
  readonly runs: number;
}

/** All the results of one run of the benchmark. */
export interface Results {
  readonly date: string;
  readonly machine: string;
  /** What `--version` prints. */
  readonly wrapper: string;
  /** The load average before and after. */
  readonly load: readonly [before: number, after: number];
  /** One sentence for each peer that was not measured. */
  readonly absent: readonly string[];
  /** How many of the stop requests after a job of 1 s or more came on a connection that was kept open. */
  readonly reused: readonly [reused: number, all: number];
  readonly figures: readonly Figure[];
}

/** Computes the median and the quartiles of some values. */
export function figure(measure: Measure, who: string, values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => {
    const place = (sorted.length - 1) * part;
    const below = sorted[Math.floor(place)] ?? NaN;
    const above = sorted[Math.ceil(place)] ?? NaN;
    return round(below + (above - below) * (place - Math.floor(place)));
  };
  return {
    measure,
    who,
    median: at(0.5),
    lowerQuartile: at(0.25),
    upperQuartile: at(0.75),
    p90: at(0.9),
    runs: sorted.length,
  };
}

const round = (value: number) => Math.round(value * 1000) / 1000;

interface Table {
  readonly title: string;
  readonly measures: readonly Measure[];
}

/** The times of hooks count from COMMAND's end; for the others, see the titles. */
const TABLES: readonly Table[] = [
  {
    title: "Start, and the whole run of a COMMAND that does nothing",
    measures: ["start", "whole", "cpu", "peak"],
  },
  {
    title: "Stop: from COMMAND's end to the stop request's arrival, and to the wrapper's exit",
    measures: ["stop-50ms", "exit-50ms", "stop-1s", "exit-1s", "stop-10s", "exit-10s"],
  },
  {
    title: "Waiting: 30 s while COMMAND sleeps",
    measures: ["waiting-cpu", "waiting-switches", "waiting-resident", "waiting-proportional"],
  },
  {
    title: "Scaling: many hooks, after a job of 1 s",
    measures: ["hooks-1", "hooks-5", "hooks-20"],
  },
  {
    title: "Scaling: many at once, from the first start to the last exit",
    measures: ["at-once-1", "at-once-10", "at-once-50"],
  },
  { title: "Size", measures: ["size", "size-compressed"] },
];

/** The figure of a measure; undefined if it was not measured. */
function find({ figures }: Results, measure: Measure, who: string): Figure | undefined {
  return figures.find((figure) => figure.measure === measure && figure.who === who);
}

function number(value: number): string {
  if (value === 0) return "0";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function cell(figure: Figure | undefined): string {
  if (figure === undefined) return "";
  const { median, lowerQuartile, upperQuartile, runs, measure } = figure;
  const unit = MEASURES[measure][1];
  const spread = runs > 1 ? ` (${number(lowerQuartile)}–${number(upperQuartile)})` : "";
  return `${number(median)}${unit === "" ? "" : ` ${unit}`}${spread}`;
}

/** The tables as rows of cells, each with its title. */
export function tables(
  results: Results,
): readonly { title: string; rows: readonly (readonly string[])[] }[] {
  return TABLES.flatMap(({ title, measures }) => {
    const taken = measures.filter((measure) =>
      results.figures.some((figure) => figure.measure === measure)
    );
    if (taken.length === 0) return [];
    const names = new Set(
      results.figures.filter(({ measure }) => taken.includes(measure)).map(({ who }) => who),
    );
    const heading = ["", ...taken.map((measure) => MEASURES[measure][0])];
    const rows = [...names].map((who) => [
      who,
      ...taken.map((measure) => cell(find(results, measure, who))),
    ]);
    return [{ title, rows: [heading, ...rows] }];
  });
}

/** A ratio that this program wants to reach. */
interface Goal {
  readonly text: string;
  readonly limit: number;
  readonly of: readonly [measure: Measure, who: string];
  /** What it is compared with: another figure, or the best of the peers. */
  readonly against: readonly [measure: Measure, who: string] | "fastest peer";
  /**
   * Which value of both is compared.
   *
   * @default "median"
   */
  readonly value?: "median" | "p90";
}

const LAST_ARRIVAL = "to the last stop request";
const LAST_EXIT = "to the wrapper's exit";
const WHOLE_RUN = "whole run";
/** What the series with many hooks measures. */
export const HOOK_SERIES = { arrival: LAST_ARRIVAL, exit: LAST_EXIT, whole: WHOLE_RUN } as const;

const GOALS: readonly Goal[] = [
  { text: "start", limit: 1.2, of: ["start", WRAPPER], against: ["start", FLOOR] },
  {
    text: "stop request after a job of 50 ms",
    limit: 1.5,
    of: ["stop-50ms", WRAPPER],
    against: "fastest peer",
  },
  {
    text: "stop request after a job of 1 s",
    limit: 1,
    of: ["stop-1s", WRAPPER],
    against: "fastest peer",
  },
  {
    text: "stop request after a job of 1 s, the slowest tenth",
    limit: 1.2,
    of: ["stop-1s", WRAPPER],
    against: "fastest peer",
    value: "p90",
  },
  {
    text: "stop request after a job of 1 s",
    limit: 1.2,
    of: ["stop-1s", WRAPPER],
    against: ["stop-1s", FLOOR_SOCKET],
  },
  {
    text: "stop request of a URL hook, job of 1 s",
    limit: 2,
    of: ["stop-1s", WRAPPER_URL],
    against: "fastest peer",
  },
  {
    text: "stop request as the last of two containers, job of 1 s",
    limit: 1.3,
    of: ["stop-1s", WRAPPER_CONTAINERS],
    against: ["stop-1s", WRAPPER],
  },
  {
    text: "stop request after a job of 10 s",
    limit: 1,
    of: ["stop-10s", WRAPPER],
    against: "fastest peer",
  },
  {
    text: "the wrapper's exit after a job of 1 s",
    limit: 1.3,
    of: ["exit-1s", WRAPPER],
    against: ["exit-1s", FLOOR_SOCKET],
  },
  {
    text: "whole run, with a hook",
    limit: 1.3,
    of: ["whole", WRAPPER],
    against: ["whole", FLOOR],
  },
  {
    text: "whole run, without a hook",
    limit: 1.2,
    of: ["whole", WRAPPER_NO_HOOK],
    against: ["whole", FLOOR],
  },
  {
    text: "resident memory while waiting",
    limit: 1.07,
    of: ["waiting-resident", WRAPPER],
    against: ["waiting-resident", FLOOR],
  },
  {
    text: "20 hooks, to the last stop request",
    limit: 2,
    of: ["hooks-20", LAST_ARRIVAL],
    against: ["hooks-1", LAST_ARRIVAL],
  },
  {
    text: "20 hooks, to the wrapper's exit",
    limit: 1.5,
    of: ["hooks-20", LAST_EXIT],
    against: ["hooks-1", LAST_EXIT],
  },
  {
    text: "20 hooks, the whole run",
    limit: 1.5,
    of: ["hooks-20", WHOLE_RUN],
    against: ["hooks-1", WHOLE_RUN],
  },
  { text: "files", limit: 1.003, of: ["size", WRAPPER], against: ["size", FLOOR] },
];

/** The goals as rows of cells, each with the ratio that was reached. */
export function goalRows(results: Results): readonly (readonly string[])[] {
  const own: readonly string[] = [
    WRAPPER,
    WRAPPER_URL,
    WRAPPER_CONTAINERS,
    WRAPPER_NO_HOOK,
    FLOOR,
    FLOOR_SOCKET,
    FLOOR_KY,
  ];
  const rows = GOALS.flatMap(({ text, limit, of, against, value = "median" }) => {
    const reached = find(results, ...of);
    const peers = results.figures.filter(({ measure, who }) =>
      measure === of[0] && !own.includes(who)
    );
    const other = against === "fastest peer"
      ? peers.toSorted((a, b) => a.median - b.median)[0]
      : find(results, ...against);
    const [part, whole] = [reached?.[value], other?.[value]];
    if (other === undefined || part === undefined || whole === undefined) return [];
    const ratio = part / whole;
    const isSize = limit > 1 && limit < 1.01;
    const digits = isSize ? 4 : 2;
    return [[
      text,
      `${ratio.toFixed(digits)} × ${other.who === of[1] ? MEASURES[other.measure][0] : other.who}`,
      `≤ ${limit.toFixed(isSize ? 3 : 2)}`,
      ratio <= limit ? "met" : "not met",
    ]];
  });
  const switches = find(results, "waiting-switches", WRAPPER);
  const waiting = switches === undefined ? [] : [[
    "context switches while waiting",
    number(switches.median),
    "0",
    switches.median === 0 ? "met" : "not met",
  ]];
  return [["goal", "result", "target", ""], ...rows, ...waiting];
}

/** The figures in short: one row for each program for which all of them were measured. */
export function summaryRows(results: Results): readonly (readonly string[])[] {
  const measures = ["start", "stop-1s", "waiting-resident", "size"] as const;
  const names = [...new Set(results.figures.map(({ who }) => who))];
  const rows = names.flatMap((who) => {
    const figures = measures.map((measure) => find(results, measure, who));
    if (figures[0] === undefined || figures[2] === undefined || figures[3] === undefined) return [];
    return [[who, ...figures.map((figure) => figure === undefined ? "–" : short(figure))]];
  });
  return [["", "start", "stop request", "resident", "files"], ...rows];
}

/** The figures in the README: those of the wrapper, and of its peers that make a stop request. */
export function peerRows(results: Results): readonly (readonly string[])[] {
  const [heading = [], ...rows] = summaryRows(results);
  return [
    heading,
    ...rows.filter(([who = ""]) =>
      !who.startsWith(FLOOR) && find(results, "stop-1s", who) !== undefined
    ),
  ];
}

function short({ median, measure }: Figure): string {
  return `${number(median)} ${MEASURES[measure][1]}`.trimEnd();
}

interface Panel {
  readonly title: string;
  readonly measure: Measure;
}

const PANELS: readonly Panel[] = [
  { title: "From exec to COMMAND's first instruction, ms", measure: "start" },
  { title: "From COMMAND's end to the stop request, 1 s job, ms", measure: "stop-1s" },
  { title: "Resident memory while waiting, MB", measure: "waiting-resident" },
];

/** A bar chart with one panel per measure; it follows the reader's light or dark color scheme. */
export function chart(results: Results): string {
  const width = 760;
  const labels = 150;
  const values = 60;
  const row = 22;
  const parts: string[] = [];
  let y = 0;
  for (const { title, measure } of PANELS) {
    const figures = results.figures.filter((figure) => figure.measure === measure);
    if (figures.length === 0) continue;
    const most = Math.max(...figures.map(({ median }) => median));
    y += 26;
    parts.push(`<text class="title" x="0" y="${y}">${escape(title)}</text>`);
    y += 8;
    for (const { who, median } of figures.toSorted((a, b) => a.median - b.median)) {
      const length = Math.max(1, (width - labels - values) * median / most);
      const kind = who.startsWith(WRAPPER) ? "own" : who.startsWith(FLOOR) ? "floor" : "peer";
      parts.push(
        `<text x="${labels - 8}" y="${y + 15}" text-anchor="end">${escape(who)}</text>`,
        `<rect class="${kind}" x="${labels}" y="${y + 3}" width="${length.toFixed(1)}" height="${
          row - 6
        }" rx="2"/>`,
        `<text x="${(labels + length + 6).toFixed(1)}" y="${y + 15}">${number(median)}</text>`,
      );
      y += row;
    }
  }
  const height = y + 12;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="wrapper compared with other wrappers">
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.own { fill: #0969da; } .floor { fill: #afb8c1; } .peer { fill: #bf8700; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .own { fill: #4493f8; } .floor { fill: #6e7681; } .peer { fill: #d29922; }
}
</style>
${parts.join("\n")}
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** All the figures of a run, and the goals. */
export function performanceTables(results: Results): string {
  return `${figureTables(results)}\n\n**Goals**\n\n${markdownTable(goalRows(results))}`;
}

/** All the figures of a run. */
export function figureTables(results: Results): string {
  const { date, machine, wrapper, load, absent, reused } = results;
  const [before, after] = load.map((value) => value.toFixed(1));
  return [
    `${date}, ${machine}; load average ${before} before and ${after} after. ${wrapper}.`,
    ...tables(results).map(({ title, rows }) => `**${title}**\n\n${markdownTable(rows)}`),
    `Of ${reused[1]} stop requests after a job of 1 s or more, ${
      reused[0]
    } used the connection that was already open.`,
    ...absent,
  ].join("\n\n");
}

/** A Markdown table, laid out as `deno fmt` does it; the first row is the heading. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...others] = rows;
  const widths = heading.map((_, column) =>
    Math.max(3, ...rows.map((row) => (row[column] ?? "").length))
  );
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [heading, rule, ...others].map(line).join("\n");
}
