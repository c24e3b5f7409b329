/**
 * Holds what every Timeline node of the open graph shows, and finds where branches split.
 *
 * Conversations are merged by the digests of their turns: equal digests are one turn.
 */
import { readFile } from "./records.js";

export class TimelineStore extends EventTarget {
  #entries = new Map(); // node -> { conversations, sheets } or null

  add(node) {
    this.#entries.set(node, this.#entries.get(node) ?? null);
    this.#changed();
  }

  set(node, conversations, output = {}) {
    const sheets = (output.ming_sheet ?? []).map?.(readFile).filter(Boolean) ?? [];
    this.#entries.set(node, { conversations, sheets });
    this.#changed();
  }

  remove(node) {
    if (this.#entries.delete(node)) this.#changed();
  }

  has(node) {
    return Boolean(this.#entries.get(node));
  }

  nodes() {
    const placed = [...this.#entries.keys()].filter((node) => node.graph);
    return placed.sort((one, other) => Number(one.id) - Number(other.id)); // as they were made
  }

  /** All that a node shows, to be put back with `put`. */
  entry(node) {
    return this.#entries.get(node) ?? null;
  }

  put(node, entry) {
    this.#entries.set(node, entry);
    this.#changed();
  }

  /** Have everything drawn again: something it depends on has changed. */
  refresh() {
    this.#changed();
  }

  sheets(node) {
    return this.#entries.get(node)?.sheets ?? [];
  }

  /** Every conversation on show with its node; of one node when it is given. */
  conversations(only = null) {
    return this.nodes()
      .filter((node) => only === null || node === only)
      .flatMap((node) =>
        (this.#entries.get(node)?.conversations ?? []).map((each) => ({ node, ...each })),
      );
  }

  /** The last turn that a node shows, if any. */
  lastTurn(node) {
    return this.#entries.get(node)?.conversations[0]?.turns.at(-1) ?? null;
  }

  /** The turns as a tree; of one node when it is given. */
  forest(only = null) {
    return buildForest(this.conversations(only));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * Merge conversations into { roots, rows, tips }.
 *
 * A row is a turn with its number, its depth (how many splits lie before it) and its branch.
 */
export function buildForest(conversations) {
  const byDigest = new Map();
  const roots = [];
  for (const conversation of conversations) {
    let parent = null;
    conversation.turns.forEach((turn, index) => {
      let found = byDigest.get(turn.digest);
      if (!found) {
        found = { ...turn, number: index + 1, parent, children: [], homes: [] };
        byDigest.set(turn.digest, found);
        (parent?.children ?? roots).push(found);
      }
      found.homes.push({ conversation, index });
      parent = found;
    });
  }
  const rows = [];
  const visit = (turn, depth, branch) => {
    rows.push(Object.assign(turn, { depth, branch }));
    const splits = turn.children.length > 1;
    turn.children.forEach((child, i) =>
      visit(child, depth + (splits ? 1 : 0), splits ? `${branch ? `${branch}.` : ""}${i + 1}` : branch),
    );
  };
  roots.forEach((root, i) => visit(root, 0, roots.length > 1 ? `${i + 1}` : ""));
  return { roots, rows, tips: rows.filter((row) => !row.children.length) };
}

/** The turns from the beginning up to and including a turn. */
export function pathTo(turn) {
  const path = [];
  for (let at = turn; at; at = at.parent) path.unshift(at);
  return path;
}
