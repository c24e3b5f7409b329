/**
 * Names of branches. A name is the title of the node that made a turn of the branch, so that it is
 * on the canvas, in the saved file and in whatever is shared; a property says that it is one.
 */
import { inOneChange } from "./graph.js";
import { findSource } from "./upstream.js";
import { text } from "./texts.js";

const NAMES = "ming_names_branch";

/** What every turn's branch is called: Map of digest -> { words, isNamed }. */
export function labelsOf(store) {
  const { rows } = store.forest();
  const names = isAnyNamed(store) ? namesOf(store, rows) : new Map();
  const labels = new Map();
  for (const row of rows) labels.set(row.digest, labelOf(row, names.get(startOf(row)), labels));
  return labels;
}

/** Name the branch a turn lies on, or take its name away: {} or { problem }. */
export function nameBranch(store, turn, words) {
  const row = store.forest().rows.find(({ digest }) => digest === turn.digest);
  const home = row ? homeOf(store, row) : { problem: "noSource" };
  if (home.problem) return home;
  const { node } = home;
  const name = words.trim();
  inOneChange(node.graph, () => {
    node.title = name || node.constructor?.title || node.type;
    if (name) node.properties[NAMES] = true;
    else delete node.properties[NAMES];
  });
  store.refresh();
  return {};
}

const isAnyNamed = (store) =>
  [...new Set(store.nodes().map((node) => node.graph))].some((graph) =>
    (graph.nodes ?? graph._nodes).some((node) => node.properties?.[NAMES]),
  );

/** The name of every branch that has one, by the turn that begins it. */
function namesOf(store, rows) {
  const names = new Map();
  for (const row of rows) {
    if (names.has(startOf(row))) continue;
    const { node } = findSource(store, row);
    if (node?.properties?.[NAMES]) names.set(startOf(row), node.title);
  }
  return names;
}

function labelOf(row, name, labels) {
  if (name) return { words: name, isNamed: true };
  const above = labels.get(startOf(row).parent?.digest);
  if (above?.isNamed) return { words: `${above.words} · ${row.branch.split(".").at(-1)}`, isNamed: true };
  return { words: row.branch ? text("branch", row.branch) : "", isNamed: false };
}

/** The node whose title is the name of a branch: that which has it, else the first one there is. */
function homeOf(store, row) {
  const sources = branchOf(row).map((each) => ({ ...findSource(store, each), row: each }));
  const named = sources.find(({ node }) => node?.properties?.[NAMES]);
  const found = named ?? sources.find(({ node }) => node);
  if (!found) return { problem: sources[0].problem };
  const isShared = found.isList && (found.row.parent?.children.length ?? 0) !== 1;
  return isShared ? { problem: "sharedName" } : found;
}

/** The turn that begins the branch of a turn. */
function startOf(row) {
  let at = row;
  while (at.parent?.children.length === 1) at = at.parent;
  return at;
}

/** All turns of the branch of a turn. */
function branchOf(row) {
  const turns = [startOf(row)];
  while (turns.at(-1).children.length === 1) turns.push(turns.at(-1).children[0]);
  return turns;
}
