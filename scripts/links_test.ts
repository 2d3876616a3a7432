/** The pages link to each other, and name files of this repository: all of these exist. */

import { assert, assertEquals } from "../tests/support/assert.ts";

const ROOT = new URL("../", import.meta.url);

/** Every page of the documentation, by its path from the root. */
const PAGES: readonly string[] = [
  ...[...Deno.readDirSync(ROOT)].map(({ name }) => name),
  ...[...Deno.readDirSync(new URL("docs/", ROOT))].map(({ name }) => `docs/${name}`),
].filter((path) => path.endsWith(".md")).toSorted();

const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

/** A page's text without its code blocks, in which nothing is a heading or a link. */
const proseOf = (text: string) => text.replaceAll(/^(`{3,})[^]*?^\1$/gm, "");

/** The anchors that GitHub gives to a page's headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(text).matchAll(/^#{1,6} +(.*)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-");
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

/** Where a page's links lead; what is in inline code is not a link. */
function linksOf(text: string): readonly string[] {
  const prose = proseOf(text).replaceAll(/`[^`\n]+`/g, "code");
  const inline = [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)];
  const references = [...prose.matchAll(/^\[[^\]]+\]: +(\S+)/gm)];
  return [...inline, ...references].map(([, target = ""]) => target);
}

function exists(url: URL): boolean {
  try {
    Deno.statSync(url);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What is wrong with a link on a page; undefined if it leads somewhere. */
function problemOf(page: string, target: string): string | undefined {
  if (/^[a-z][a-z+.-]*:/i.test(target)) return undefined;
  const url = new URL(target, new URL(page, ROOT));
  const anchor = decodeURIComponent(url.hash.slice(1));
  url.hash = "";
  if (!url.href.startsWith(ROOT.href)) return `${page}: ${target} leads out of the repository`;
  if (!exists(url)) return `${page}: ${target} does not exist`;
  if (anchor === "") return undefined;
  const found = anchorsOf(Deno.readTextFileSync(url)).has(anchor);
  return found ? undefined : `${page}: ${target} has no such heading`;
}

Deno.test("every link and anchor on the pages leads somewhere", () => {
  const links = PAGES.flatMap((page) => linksOf(read(page)).map((target) => [page, target]));
  const relative = links.filter(([, target = ""]) => !/^[a-z]+:/i.test(target));
  assert(relative.length >= 60, `only ${relative.length} links found`);
  const problems = links.map(([page = "", target = ""]) => problemOf(page, target));
  assertEquals(problems.filter((problem) => problem !== undefined), []);
});

Deno.test("a link that leads nowhere would be found", () => {
  const wrong = ["nowhere.md", "docs/library.md#nowhere", "#nowhere", "../../etc/passwd"];
  for (const target of wrong) assert(problemOf("README.md", target) !== undefined, target);
  const right = ["docs/library.md", "#use-it", "docs/messages.md#hook-failed", "examples/"];
  for (const target of right) assertEquals(problemOf("README.md", target), undefined);
  assertEquals(linksOf("[a](b.md) `[c](d.md)` ![e](f.svg)\n```md\n[g](h.md)\n```\n[i]: j.md\n"), [
    "b.md",
    "f.svg",
    "j.md",
  ]);
  assertEquals([...anchorsOf("# A `b_c`: d, e!\n## x\n## x\n```sh\n# no heading\n```\n")], [
    "a-b_c-d-e",
    "x",
    "x-1",
  ]);
});

Deno.test("every page can be reached from the README", () => {
  const reached = new Set(["README.md"]);
  for (const page of reached) {
    for (const target of linksOf(read(page))) {
      const { pathname } = new URL(target, new URL(page, ROOT));
      const path = pathname.slice(ROOT.pathname.length);
      if (PAGES.includes(path)) reached.add(path);
    }
  }
  const pages = PAGES.filter((page) => page.startsWith("docs/"));
  assertEquals(pages.filter((page) => !reached.has(page)), []);
});

Deno.test("every file of this repository that a page names in code exists", () => {
  const folders = "src|hooks|tests|scripts|examples|docs|bench";
  const path = new RegExp(`\`((?:${folders})/[\\w./-]*)\``, "g");
  const named = PAGES.flatMap((page) =>
    [...proseOf(read(page)).matchAll(path)].map(([, name = ""]) => [page, name] as const)
  );
  assert(named.length >= 50, `only ${named.length} found`);
  assertEquals(named.filter(([, name]) => !exists(new URL(name, ROOT))), []);
});
