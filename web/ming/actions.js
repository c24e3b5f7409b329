/** What a turn can be used for: its prompt copied, an Edit Step inserted, its node shown. */
import { app } from "../../../scripts/app.js";
import { freePlace } from "./placing.js";
import { findSource, originOf } from "./upstream.js";
import { text } from "./texts.js";

const EDIT_STEP = "MingUniVision_EditStep";
const SETTINGS = ["steps", "solver", "text_guidance", "image_guidance", "temperature"];

/** Copy words; returns what to say about it. */
export async function copyText(words) {
  try {
    await navigator.clipboard.writeText(words);
    return text("copied");
  } catch {
    return copyOverSelection(words) ? text("copied") : text("copyFailed");
  }
}

/** The way that also works where the page is not served securely. */
function copyOverSelection(words) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = words;
  area.style.cssText = "position:fixed;opacity:0";
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } finally {
    area.remove();
    focused?.focus?.({ preventScroll: true });
  }
}

/** Insert an Edit Step that goes on from a turn; returns what to say about it. */
export function insertEditStep(store, turn) {
  const source = findSource(store, turn);
  if (source.problem) {
    const words = text(source.problem, turn.number);
    tell("warn", words);
    return words;
  }
  const step = window.LiteGraph.createNode(EDIT_STEP);
  const graph = source.node.graph;
  graph.beforeChange?.();
  step.pos = freePlace(graph, source.node, step.size);
  takeSettings(step, turn); // before it is drawn: Nodes 2.0 shows what it finds then
  graph.add(step);
  source.node.connect(source.slot, step, step.findInputSlot("context"));
  const model = modelOf(source.node) ?? modelOf(source.timeline);
  model?.node.connect(model.slot, step, step.findInputSlot("model"));
  graph.afterChange?.();
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
  showNode(step);
  setTimeout(() => focusInstruction(step), 150); // once the renderer has drawn it
  return source.isList ? text("insertedList") : text("inserted", turn.number);
}

const modelOf = (node) => originOf(node, "model");

/** Begin with the settings the turn was drawn with. */
function takeSettings(step, turn) {
  const settings = new Map(turn.settings);
  for (const widget of step.widgets ?? []) {
    if (!SETTINGS.includes(widget.name) || !settings.get(widget.name)) continue;
    const value = settings.get(widget.name);
    widget.value = typeof widget.value === "number" ? Number(value) : value;
  }
}

/** Bring a node into view and select it. */
export function showNode(node) {
  const canvas = app.canvas;
  if (!canvas || !node.graph) return;
  if (canvas.graph !== node.graph) canvas.setGraph?.(node.graph);
  canvas.selectNodes?.([node]);
  canvas.centerOnNode?.(node);
  canvas.setDirty?.(true, true);
}

function focusInstruction(step) {
  const widget = step.widgets?.find((each) => each.name === "instruction");
  const drawn = document.querySelector(`[data-node-id="${CSS.escape(`${step.id}`)}"] textarea`);
  (drawn ?? widget?.element ?? widget?.inputEl)?.focus?.({ preventScroll: true });
}

/** A note in the host's corner, where the host has one. */
export function tell(severity, words) {
  const toast = app.extensionManager?.toast;
  const summary = "Ming-UniVision";
  const newer = { warn: "warning", info: "info" }[severity];
  if (typeof toast?.[newer] === "function") {
    toast[newer](summary, { description: words, duration: 6000 });
  } else toast?.add?.({ severity, summary, detail: words, life: 6000 });
}
