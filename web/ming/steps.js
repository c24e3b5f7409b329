/**
 * Adds the nodes of one line of a conversation to the graph, and takes them away again.
 *
 * A step is a column of nodes right of what it goes on from. The graph stays the one truth: what
 * is here can be saved, shared and run without a browser.
 */
import { app } from "../../../scripts/app.js";
import { PREFIX, findSource, originOf } from "./upstream.js";
import { freePlace } from "./placing.js";

const FRAME = "Please generate the corresponding image based on the description. ";
const TITLE = 40;
const GAP = 60;
const SIZES = { PreviewImage: [240, 290] }; // with the picture it will show
const NODES = {
  draw: { type: "Generate", words: "prompt", context: 0, features: 1 },
  edit: { type: "EditStep", words: "instruction", context: 0, features: 1 },
  ask: { type: "Describe", words: "question", context: 1, features: null },
};

/** Whether a Timeline follows the conversation that is typed: it moves on with every line. */
const follows = (timeline) => Boolean(timeline?.properties?.ming_follows);

/** A new seed, small enough for every frontend. */
export const newSeed = () => Math.floor(Math.random() * 2 ** 32);

/**
 * Add a step: { mode, words, turn, picture } -> { step, timeline, targets, undo } or { problem }.
 *
 * turn     the turn it goes on from, or null
 * picture  the name of a picture in the input folder to speak about, or null
 */
export function addStep(store, { mode, words, turn, picture }) {
  const kind = NODES[mode];
  const isFresh = mode === "draw" || Boolean(picture);
  const source = isFresh ? null : turn ? findSource(store, turn) : { problem: "nothingYet" };
  if (source?.problem) return source;
  const graph = app.rootGraph ?? app.graph;
  if (source && source.node.graph !== graph) return { problem: "insideSubgraph" };
  const added = [];
  const make = (type, values = {}) => {
    const node = window.LiteGraph.createNode(type);
    if (!node) throw new Error(`There is no node ${type}.`);
    setWidgets(node, values);
    if (SIZES[type]) node.setSize(SIZES[type]);
    added.push(node);
    return node;
  };
  graph.beforeChange?.();
  const model = modelFor(graph, source, make);
  const shown = picture ? pictureNodes(make, picture, mode) : [];
  const step = make(PREFIX + kind.type, {
    [kind.words]: mode === "draw" && !words.startsWith(FRAME.trim()) ? FRAME + words : words,
    seed: newSeed(),
    control_after_generate: "fixed", // what is drawn is not drawn again by the next line
  });
  const painted =
    kind.features === null ? [] : [make(`${PREFIX}PixelDecode`), make("PreviewImage")];
  const moved = source && follows(source.timeline) && isTip(source) ? source.timeline : null;
  const timeline = moved ?? make(`${PREFIX}ContextTimeline`);
  timeline.properties.ming_follows = true;
  const own = added.filter((node) => node !== model.node);
  place(graph, source?.node ?? model.node, model.isNew ? model.node : null, own);
  for (const node of added) graph.add(node);

  connect(model, step, "model");
  if (source) connect(source, step, "context");
  wirePicture(shown, model, step);
  if (painted.length) {
    connect(model, painted[0], "model");
    connect({ node: step, slot: kind.features }, painted[0], "features");
    connect({ node: painted[0], slot: 0 }, painted[1], "images");
  }
  connect({ node: step, slot: kind.context }, timeline, "context");
  connect(model, timeline, "model");
  graph.afterChange?.();
  remember();
  return {
    step,
    timeline,
    targets: [...painted.slice(1), timeline],
    undo: () => takeAway(graph, added, moved, source),
  };
}

/** Give a step another seed. */
export function reseed(step) {
  setWidgets(step, { seed: newSeed() });
  remember();
}

/** Remove what a step added; its Timeline goes back to where it was. */
function takeAway(graph, added, moved, source) {
  graph.beforeChange?.();
  for (const node of added.toReversed()) if (node.graph) graph.remove(node);
  if (moved?.graph && source.node.graph) connect(source, moved, "context");
  graph.afterChange?.();
  remember();
}

const isTip = (source) => {
  const at = originOf(source.timeline, "context");
  return at?.node === source.node && at.slot === source.slot;
};

/** The model a step works with: that of its source, any in the graph, or a new one. */
function modelFor(graph, source, make) {
  const near = source && (originOf(source.node, "model") ?? originOf(source.timeline, "model"));
  if (near) return near;
  const loaded = (graph.nodes ?? graph._nodes).find((node) => node.type === `${PREFIX}LoadModel`);
  return { node: loaded ?? make(`${PREFIX}LoadModel`), slot: 0, isNew: !loaded };
}

function pictureNodes(make, picture, mode) {
  const use = mode === "ask" ? "understand" : "edit";
  return [
    make("LoadImage", { image: picture }),
    make(`${PREFIX}EncodeImage`, { use }),
    make(`${PREFIX}SemanticExpand`),
  ];
}

function wirePicture([load, encode, expand], model, step) {
  if (!load) return;
  connect({ node: load, slot: 0 }, encode, "image");
  connect(model, encode, "model");
  connect({ node: encode, slot: 0 }, expand, "latents");
  connect(model, expand, "model");
  connect({ node: expand, slot: 0 }, step, "features");
}

const connect = (from, to, name) => from.node.connect(from.slot, to, to.findInputSlot(name));

/** Before they are drawn: Nodes 2.0 shows what it finds then. */
function setWidgets(node, values) {
  for (const widget of node.widgets ?? []) {
    if (!(widget.name in values)) continue;
    const choices = widget.options?.values;
    const value = values[widget.name];
    if (Array.isArray(choices) && !choices.includes(value)) choices.push(value);
    widget.value = value;
  }
}

/** One below the other, right of an anchor; a new model left of them. */
function place(graph, anchor, model, column) {
  const isFirst = anchor === model;
  if (isFirst) model.pos = freePlace(graph, null, model.size);
  const height = column.reduce((sum, node) => sum + node.size[1] + TITLE + GAP, 0);
  const width = Math.max(...column.map((node) => node.size[0]));
  const corner = freePlace(graph, anchor, [width, height]);
  let y = corner[1];
  for (const node of column) {
    node.pos = [corner[0], y];
    y += node.size[1] + TITLE + GAP;
  }
}

/** Tell the host that the graph has changed, for its own undo and the unsaved mark. */
function remember() {
  app.canvas?.setDirty?.(true, true);
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
}
