/** Keeps one of several tries of a line: the nodes of the others are taken away. */
import { isPlaced, inOneChange } from "./graph.js";
import { removeNodes } from "./removal.js";
import { follows } from "./steps.js";
import { PREFIX, findSource, originOf } from "./upstream.js";

// What only shows a step. Anything else behind a step is work of its own, and stays.
const SHOWING = [`${PREFIX}PixelDecode`, `${PREFIX}ContextTimeline`, "PreviewImage"];

/** Other turns that answer the same words at the same place, with another seed. */
export function twinsOf(roots, row) {
  const among = row.parent?.children ?? roots;
  const isTwin = (each) => each !== row && each.prompt === row.prompt && each.seed !== row.seed;
  return row.replied.some((part) => part.picture !== undefined) ? among.filter(isTwin) : [];
}

/**
 * Take the other tries of a turn away: { made, staying } or { problem }.
 *
 * made     what was changed: its step, what shows it, and what undoes it
 * staying  how many tries stay, because other nodes go on from them
 */
export function keepOnly(store, turn) {
  const forest = store.forest();
  const row = forest.rows.find((each) => each.digest === turn?.digest);
  const kept = row ? findSource(store, row) : { problem: "noSource" };
  if (kept.problem) return kept;
  const step = kept.node;
  const { graph } = step;
  const sources = twinsOf(forest.roots, row).map((twin) => findSource(store, twin));
  const others = [...new Set(sources.map(({ node }) => node))].filter(
    (node) => node && node !== step && node.graph === graph && node.type === step.type,
  );
  const columns = others.map((node) => [node, ...behind(node)]);
  const isShown = (column) => column.slice(1).every((node) => SHOWING.includes(node.type));
  const leaving = columns.filter(isShown);
  const staying = columns.length - leaving.length;
  const shown = behind(step).filter((node) => SHOWING.includes(node.type));
  const timeline = shown.find((node) => node.type === `${PREFIX}ContextTimeline`);
  if (!leaving.length) return { problem: staying ? "triesInUse" : "noTries" };
  const before = timeline && !staying ? followersOf(step) : [];
  const restore = inOneChange(graph, () => {
    const unmove = moveTo(leaving.map(([node]) => node), step, shown);
    const bringBack = removeNodes(graph, [...new Set([...leaving.flat(), ...before])], store);
    return () => {
      unmove();
      return bringBack();
    };
  });
  const targets = shown.filter((node) => node.type !== SHOWING[0]);
  const undo = () => (isPlaced(step) ? inOneChange(graph, restore) : new Map());
  return { made: { tries: [{ step, timeline }], targets, undo }, staying };
}

/** Every node that something of a node reaches, directly or through others. */
function behind(node, found = new Set()) {
  for (const output of node.outputs ?? []) {
    for (const id of output.links ?? []) {
      const link = node.graph.links.get?.(id) ?? node.graph.links[id];
      const next = link && node.graph.getNodeById(link.target_id);
      if (next && !found.has(next)) behind(next, found.add(next));
    }
  }
  return [...found];
}

/** Timelines that followed the conversation up to a step: the one behind it does that now. */
function followersOf(step) {
  const source = originOf(step, "context");
  const ends = (node) => originOf(node, "context")?.slot === source.slot;
  return source ? behindDirectly(source).filter((node) => follows(node) && ends(node)) : [];
}

const behindDirectly = ({ node, slot }) =>
  (node.outputs[slot].links ?? [])
    .map((id) => node.graph.links.get?.(id) ?? node.graph.links[id])
    .map((link) => link && node.graph.getNodeById(link.target_id))
    .filter(Boolean);

/** Put a step and what shows it where the first of the tries is; returns what puts them back. */
function moveTo(others, step, shown) {
  const row = others.filter((node) => node.pos[1] === step.pos[1]).map((node) => node.pos[0]);
  const by = Math.min(step.pos[0], ...row) - step.pos[0];
  const shift = (x) => [step, ...shown].forEach((node) => (node.pos = [node.pos[0] + x, node.pos[1]]));
  if (by) shift(by);
  return () => by && shift(-by);
}
