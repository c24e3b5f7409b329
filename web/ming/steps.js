/**
 * Adds the nodes of one line of a conversation to the graph, and takes them away again.
 *
 * A step is a column of nodes right of what it goes on from. The graph stays the one truth: what
 * is here can be saved, shared and run without a browser.
 */
import {
  connect,
  inOneChange,
  isPlaced,
  makeNode,
  removeNode,
  rootGraph,
} from "./graph.js";
import { PREFIX, findSource, originOf } from "./upstream.js";
import { freePlace, placeColumns } from "./placing.js";

const FRAME = "Please generate the corresponding image based on the description. ";
const SIZES = { PreviewImage: [240, 290] }; // with the picture it will show
// How much higher a step becomes: by the picture in the making, and in Nodes 2.0 by its widgets.
const GROWTH = { Generate: [240, 560], EditStep: [240, 560], Describe: [0, 200] };
const NODES = {
  draw: { type: "Generate", words: "prompt", context: 0, features: 1 },
  edit: { type: "EditStep", words: "instruction", context: 0, features: 1 },
  ask: { type: "Describe", words: "question", context: 1, features: null },
};

/** Whether a Timeline follows the conversation that is typed: it moves on with every line. */
export const follows = (timeline) => Boolean(timeline?.properties?.ming_follows);

/** A new seed, small enough for every frontend. */
const newSeed = () => Math.floor(Math.random() * 2 ** 32);

/**
 * Add a step: { mode, words, turn, picture } -> what was made, or { problem }.
 *
 * turn     the turn it goes on from, or null
 * picture  the name of a picture in the input folder to speak about, or null
 * count    how many tries, each with a seed of its own
 *
 * What was made is { tries, targets, added, moved }: every step with its Timeline, what to run,
 * the new nodes, and the Timeline that now follows the step, with what it had shown before.
 */
export function addStep(store, { mode, words, turn, picture }, count = 1) {
  const kind = NODES[mode];
  const isFresh = mode === "draw" || Boolean(picture);
  const source = isFresh ? null : turn ? findSource(store, turn) : { problem: "nothingYet" };
  if (source?.problem) return source;
  const graph = rootGraph();
  if (source && source.node.graph !== graph) return { problem: "insideSubgraph" };
  const model = modelFor(graph, source);
  const shown = picture ? pictureNodes(picture, mode) : [];
  const step = makeNode(PREFIX + kind.type, {
    [kind.words]: mode === "draw" && !words.startsWith(FRAME.trim()) ? FRAME + words : words,
    seed: newSeed(),
    control_after_generate: "fixed", // what is drawn is not drawn again by the next line
  });
  const isNext = count === 1 && source && follows(source.timeline) && isTip(source);
  const first = column(step, kind, isNext ? source.timeline : null);
  const others = Array.from({ length: count - 1 }, () => column(copyOf(step), kind));
  const added = [...(model.isNew ? [model.node] : []), ...shown];
  const made = gathered(added, [first, ...others], isNext ? moveOf(store, source, kind) : null);
  return build(graph, made, () => {
    if (model.isNew) model.node.pos = freePlace(graph, null, model.node.size);
    const [nodes, ...rest] = [first, ...others].map((each) => each.nodes);
    const columns = shown.length && count > 1 ? [shown, nodes, ...rest] : [[...shown, ...nodes], ...rest];
    placeColumns(graph, source?.node ?? model.node, columns, growthOf);
    for (const node of made.added) graph.add(node);
    if (source) connect(source, step, "context");
    wirePicture(shown, model, step);
    for (const { step: other } of others) copyWires(step, other);
    for (const each of [first, ...others]) wireColumn(each, model, kind);
  });
}

/** Draw a turn that is there further times, with other seeds; like `addStep`. */
export function addTries(store, turn, count) {
  const source = findSource(store, turn);
  if (source.problem) return source;
  const step = source.node;
  const graph = rootGraph();
  const kind = Object.values(NODES).find(({ type }) => PREFIX + type === step.type);
  if (!kind || kind.features === null) return { problem: "notDrawn" };
  if (step.graph !== graph) return { problem: "insideSubgraph" };
  const model = originOf(step, "model");
  if (!model) return { problem: "notDrawn" };
  const columns = Array.from({ length: count }, () => column(copyOf(step), kind));
  const made = gathered([], columns, null);
  made.tries.unshift({ step, timeline: source.timeline, turn });
  return build(graph, made, () => {
    placeColumns(graph, step, columns.map(({ nodes }) => nodes), growthOf);
    for (const node of made.added) graph.add(node);
    for (const { step: other } of columns) copyWires(step, other);
    for (const each of columns) wireColumn(each, model, kind);
  });
}

/** Give the steps that were made other seeds. */
export function reseed({ tries }) {
  const fresh = tries.filter(({ step, turn }) => !turn && isPlaced(step));
  inOneChange(rootGraph(), () => {
    for (const { step } of fresh) {
      const widget = step.widgets.find(({ name }) => name === "seed");
      widget.value = newSeed();
      widget.callback?.(widget.value); // Nodes 2.0 shows what it is told of
    }
  });
}

/** Remove what was added; a Timeline that moved on goes back to where it was. */
export function takeAway(store, made) {
  inOneChange(rootGraph(), () => {
    for (const node of made.added.toReversed()) removeNode(node);
    moveBack(made);
    if (made.moved && isPlaced(made.moved.timeline)) store.put(made.moved.timeline, made.moved.shown);
  });
}

/** Nodes that were brought back are other objects than those that went: `fresh` knows them. */
export function swapNodes(all, fresh) {
  const now = (node) => fresh.get(node) ?? node;
  for (const made of all) {
    made.added = made.added?.map(now);
    made.targets = made.targets.map(now);
    for (const each of made.tries) {
      Object.assign(each, { step: now(each.step), timeline: now(each.timeline) });
    }
    if (!made.moved) continue;
    made.moved.timeline = now(made.moved.timeline);
    made.moved.source.node = now(made.moved.source.node);
  }
}

/** The Timeline follows what was drawn, and waits where it was when nothing came of it. */
export const moveOn = (made) => moveTimeline(made, { node: made.tries[0].step, slot: made.moved?.slot });
export const moveBack = (made) => moveTimeline(made, made.moved?.source);

function moveTimeline({ moved }, origin) {
  if (!moved || !isPlaced(moved.timeline) || !isPlaced(origin.node)) return;
  inOneChange(rootGraph(), () => connect(origin, moved.timeline, "context"));
}

/** The nodes of one try: the step, what shows its picture, and its Timeline. */
function column(step, kind, moved = null) {
  const painted =
    kind.features === null ? [] : [makeNode(`${PREFIX}PixelDecode`), makeNode("PreviewImage")];
  const timeline = moved ?? makeNode(`${PREFIX}ContextTimeline`);
  timeline.properties.ming_follows = true;
  const nodes = [step, ...painted, ...(moved ? [] : [timeline])];
  for (const node of nodes) if (SIZES[node.type]) node.setSize(SIZES[node.type]);
  return { step, painted, timeline, nodes };
}

function gathered(before, columns, moved) {
  return {
    added: [...before, ...columns.flatMap(({ nodes }) => nodes)],
    tries: columns.map(({ step, timeline }) => ({ step, timeline })),
    targets: columns.flatMap(({ painted, timeline }) => [...painted.slice(1), timeline]),
    moved,
  };
}

/** All of it, or nothing: what a failure leaves behind is taken away. */
function build(graph, made, work) {
  return inOneChange(graph, () => {
    try {
      work();
      return made;
    } catch (error) {
      for (const node of made.added.toReversed()) removeNode(node);
      throw error;
    }
  });
}

/** A node that asks what a step asks, with the same settings and a seed of its own. */
function copyOf(step) {
  const said = Object.fromEntries((step.widgets ?? []).map(({ name, value }) => [name, value]));
  const own = { seed: newSeed(), control_after_generate: "fixed", images: 1 };
  return makeNode(step.type, { ...said, ...own });
}

function copyWires(step, other) {
  for (const { name } of step.inputs ?? []) {
    const origin = originOf(step, name);
    if (origin) connect(origin, other, name);
  }
}

function growthOf(node) {
  const [classic, nodes2] = GROWTH[node.type.slice(PREFIX.length)] ?? [0, 0];
  return window.LiteGraph.vueNodesMode ? nodes2 : classic;
}

function wireColumn({ step, painted, timeline }, model, kind) {
  connect(model, step, "model");
  if (painted.length) {
    connect(model, painted[0], "model");
    connect({ node: step, slot: kind.features }, painted[0], "features");
    connect({ node: painted[0], slot: 0 }, painted[1], "images");
  }
  connect({ node: step, slot: kind.context }, timeline, "context");
  connect(model, timeline, "model");
}

const moveOf = (store, source, kind) => ({
  timeline: source.timeline,
  source: { node: source.node, slot: source.slot },
  shown: store.entry(source.timeline),
  slot: kind.context, // of the new step
});

const isTip = (source) => {
  const at = originOf(source.timeline, "context");
  return at?.node === source.node && at.slot === source.slot;
};

/** The model a step works with: that of its source, any in the graph, or a new one. */
function modelFor(graph, source) {
  const near = source && (originOf(source.node, "model") ?? originOf(source.timeline, "model"));
  if (near) return near;
  const loaded = (graph.nodes ?? graph._nodes).find((node) => node.type === `${PREFIX}LoadModel`);
  return { node: loaded ?? makeNode(`${PREFIX}LoadModel`), slot: 0, isNew: !loaded };
}

function pictureNodes(picture, mode) {
  const use = mode === "ask" ? "understand" : "edit";
  return [
    makeNode("LoadImage", { image: picture }),
    makeNode(`${PREFIX}EncodeImage`, { use }),
    makeNode(`${PREFIX}SemanticExpand`),
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
